//! What a trainer reports: steps, evaluations and samples.

/// One optimizer step.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Number of the step, from 1.
    pub step: u64,
    /// Mean loss in nats per token.
    pub loss: f64,
    /// Tokens of this step.
    pub tokens: u64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    pub grad_norm: f64,
}

/// A validation loss and the step it was taken at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Step after which the model was evaluated.
    pub step: u64,
    /// Mean loss in nats per token.
    pub loss: f64,
}

impl Evaluation {
    /// `e^loss`.
    pub fn perplexity(&self) -> f64 {
        self.loss.exp()
    }
}

/// Text that the model wrote, and the step it was at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Step after which it was written.
    pub step: u64,
    /// The text, free of control characters other than line breaks.
    pub text: String,
}

impl Sample {
    /// A model may write anything, also what a terminal takes for commands: control characters other than
    /// line breaks are replaced.
    pub(crate) fn new(step: u64, text: &str) -> Self {
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
