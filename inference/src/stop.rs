//! Texts that end a text.

/// Passes text on, and stops before the first of several strings. What may be the start of one is held back.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopStrings {
    strings: Vec<String>,
    held: String,
    found: bool,
}

impl StopStrings {
    /// Stops before any of `strings`; an empty one stops nothing.
    pub(crate) fn new(strings: impl IntoIterator<Item = String>) -> Self {
        let strings = strings.into_iter().filter(|string| !string.is_empty()).collect();
        Self { strings, ..Self::default() }
    }

    /// Takes more text and returns what is surely before a stop.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        if self.strings.is_empty() || self.found {
            return if self.found { String::new() } else { piece.to_owned() };
        }
        self.held.push_str(piece);
        if let Some(start) = self.strings.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.found = true;
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let starts_one = |at: &usize| self.strings.iter().any(|stop| stop.starts_with(&self.held[*at..]));
        let mut ends = self.held.char_indices().map(|(at, _)| at);
        let safe = ends.find(starts_one).unwrap_or(self.held.len());
        let rest = self.held.split_off(safe);
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether one was found.
    pub(crate) fn is_found(&self) -> bool {
        self.found
    }

    /// What was held back, at the end of the text.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes of `text` in pieces of one, two or all characters.
    fn passed(stops: &[&str], text: &str) -> String {
        let all = [1, 2, usize::MAX].map(|size| {
            let mut stop = StopStrings::new(stops.iter().map(|stop| (*stop).to_owned()));
            let characters: Vec<char> = text.chars().collect();
            let pieces = characters.chunks(size.min(characters.len().max(1)));
            let mut passed: String =
                pieces.map(|piece| stop.push(&piece.iter().collect::<String>())).collect();
            passed.push_str(&stop.finish());
            passed
        });
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
        all[0].clone()
    }

    #[test]
    fn text_ends_before_the_first_stop() {
        assert_eq!(passed(&["\n\n"], "one\ntwo\n\nthree"), "one\ntwo");
        assert_eq!(passed(&["aab"], "aaab…"), "a");
        assert_eq!(passed(&["xyz", "é"], "xyé, xyz"), "xy");
        assert_eq!(passed(&["end"], "no en"), "no en");
        assert_eq!(passed(&[""], "all of it"), "all of it");
        assert_eq!(passed(&[], "all of it"), "all of it");
        assert_eq!(passed(&["a"], "a"), "");
    }

    #[test]
    fn only_what_may_be_a_stop_is_held_back() {
        let mut stop = StopStrings::new(["\n\n".to_owned()]);
        assert_eq!([stop.push("a\n"), stop.push("b"), stop.push("\n")], ["a", "\nb", ""]);
        assert!(!stop.is_found());
        assert_eq!(stop.push("\nrest"), "");
        assert!(stop.is_found());
        assert_eq!((stop.push("more"), stop.finish()), (String::new(), String::new()));
    }
}
