//! A word, as tokens and in a text.

use kiln_datasets::Tokenizer;

use crate::error::{Error, Result};

/// A word that a study looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    text: String,
    /// Its tokens behind a space, and at the beginning of a line.
    forms: Vec<Vec<u32>>,
}

impl Word {
    /// A word by its letters.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the tokenizer cannot encode it; [`Error::Steering`] if it is empty.
    pub(super) fn new(text: &str, tokenizer: &Tokenizer) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::Steering {
                what: "a word".to_owned(),
                reason: "it has no letters".to_owned(),
            });
        }
        let mut forms = vec![tokenizer.encode(&format!(" {text}"))?];
        // Not every tokenizer has the word without a space, and most models see it rarely so.
        forms.extend(tokenizer.encode(text).ok().filter(|form| *form != forms[0]));
        Ok(Self { text: text.to_owned(), forms })
    }

    /// Its letters.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The tokens that it may begin with.
    pub(super) fn first_tokens(&self) -> Vec<u32> {
        let mut first: Vec<u32> = self.forms.iter().filter_map(|form| form.first().copied()).collect();
        first.sort_unstable();
        first.dedup();
        first
    }

    /// The token that it begins with behind a space.
    pub(super) fn first_token(&self) -> u32 {
        self.forms[0].first().copied().unwrap_or_default()
    }

    /// Number of its tokens, if it begins at this place.
    pub(super) fn len_at(&self, tokens: &[u32], at: usize) -> Option<usize> {
        self.forms.iter().filter(|form| tokens[at..].starts_with(form)).map(Vec::len).max()
    }

    /// Whether a text has it, as a word of its own.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        text.match_indices(&self.text).any(|(at, _)| {
            !is_letter(text[..at].chars().next_back())
                && !is_letter(text[at + self.text.len()..].chars().next())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_a_part_of_another() {
        let tokenizer = Tokenizer::open("byte").expect("built in");
        let word = Word::new(" fox", &tokenizer).expect("letters");
        for (text, expected) in
            [("a fox.", true), ("fox", true), ("foxes", false), ("a box", false), ("firefox, fox", true)]
        {
            assert_eq!(word.is_in(text), expected, "{text}");
        }
        assert_eq!(word.first_tokens(), [32, 102]);
        let tokens = tokenizer.encode("a fox").expect("bytes");
        assert_eq!(
            (word.len_at(&tokens, 1), word.len_at(&tokens, 2), word.len_at(&tokens, 0)),
            (Some(4), Some(3), None)
        );
        assert!(Word::new("  ", &tokenizer).is_err());
    }
}
