//! Examples for people to look at.

use super::Encoded;
use crate::Tokenizer;
use crate::error::Result;

/// Escape sequences of a terminal: bold green, faint, and back.
const COLOURS: [&str; 3] = ["\u{1b}[1;32m", "\u{1b}[2m", "\u{1b}[0m"];

/// The text of an example, in which what is learned stands out: in colour, or in brackets `⟦…⟧`.
///
/// # Errors
///
/// [`Error::UnknownToken`](crate::Error::UnknownToken) for an example of another tokenizer.
pub fn shown(encoded: &Encoded, tokenizer: &Tokenizer, colour: bool) -> Result<String> {
    let [trained, masked, end] = COLOURS;
    let mut shown = String::new();
    let mut start = 0;
    for run in encoded.trained.chunk_by(|one, next| one == next) {
        let text = tokenizer.decode(&encoded.tokens[start..start + run.len()])?;
        let (open, close) = match (colour, run[0]) {
            (true, true) => (trained, end),
            (true, false) => (masked, end),
            (false, true) => ("⟦", "⟧"),
            (false, false) => ("", ""),
        };
        shown.extend([open, &text, close]);
        start += run.len();
    }
    Ok(shown)
}
