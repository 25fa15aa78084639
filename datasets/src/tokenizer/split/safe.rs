//! Where a text may be cut so that its parts split into the same pieces as the whole.

use crate::tokenizer::unicode::{Classified, LETTER, NUMBER, SPACE};

/// Parts of at least `size` bytes, but for the last.
///
/// Every pattern ends a piece between a character that is not white space and a space, and between a letter
/// or number and any white space. What follows is matched without a look back, and what precedes sees white
/// space or the end, which is one to the patterns.
pub(in crate::tokenizer) fn chunks(text: &str, size: usize) -> Vec<&str> {
    let mut chunks = Vec::with_capacity(text.len() / size + 1);
    let mut rest = text;
    while let Some(at) = cut(rest, size) {
        let (chunk, after) = rest.split_at(at);
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    chunks
}

fn cut(text: &str, from: usize) -> Option<usize> {
    let classified = Classified::new(text);
    let mut at = (from.max(1)..text.len()).find(|at| text.is_char_boundary(*at))?;
    let (mut before, _) = classified.class(classified.before(at));
    while at < text.len() {
        let (class, width) = classified.class(at);
        let after_word = before & (LETTER | NUMBER) != 0;
        let after_any = before & SPACE == 0 && text.as_bytes()[at] == b' ';
        if class & SPACE != 0 && (after_word || after_any) {
            return Some(at);
        }
        (before, at) = (class, at + width);
    }
    None
}
