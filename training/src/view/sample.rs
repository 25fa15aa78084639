//! Text that the model wrote, made safe for a terminal.

/// Text that the model wrote, and the step it was at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Step after which it was written.
    pub(crate) step: usize,
    /// The text, free of control characters other than line breaks.
    pub(crate) text: String,
}

impl Sample {
    /// A model may write anything, also what a terminal takes for commands: control characters other than
    /// line breaks are replaced.
    pub(crate) fn new(step: usize, text: &str) -> Self {
        let text = text.trim_end().replace("\r\n", "\n").replace('\t', "    ");
        let harmless = |c: char| if c == '\n' || !c.is_control() { c } else { char::REPLACEMENT_CHARACTER };
        Self { step, text: text.chars().map(harmless).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_cannot_drive_the_terminal() {
        let sample = Sample::new(1, "a\r\nb\tc\x1b[2J\u{9b}d\n\n");
        assert_eq!(sample.text, "a\nb    c\u{fffd}[2J\u{fffd}d");
    }
}
