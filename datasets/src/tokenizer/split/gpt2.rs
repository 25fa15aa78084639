//! GPT-2, and SmolLM, where every digit is a text of its own:
//! `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.

use super::space;
use crate::tokenizer::unicode::{Classified, LETTER, NUMBER, OTHER, SPACE};

#[inline(always)]
pub(super) fn end_of_piece<const SINGLE_DIGITS: bool>(text: Classified<'_>, at: usize) -> usize {
    let (mut class, mut width) = text.class(at);
    let mut first = at;
    if SINGLE_DIGITS && class & NUMBER != 0 {
        return at + width;
    }
    if text.bytes()[at] == b' ' {
        let next = text.class(at + 1);
        if SINGLE_DIGITS && next.0 & NUMBER != 0 {
            return at + 1;
        }
        if next.0 & (LETTER | NUMBER | OTHER) == 0 {
            return space::end_of_run::<SINGLE_DIGITS>(text, at);
        }
        (first, (class, width)) = (at + 1, next);
    }
    if class & LETTER != 0 {
        return text.letters(first + width);
    }
    if class & SPACE != 0 {
        return space::end_of_run::<SINGLE_DIGITS>(text, at);
    }
    match contraction(&text.bytes()[at..]) {
        Some(length) => at + length,
        None => text.run(first + width, if class & NUMBER != 0 { NUMBER } else { OTHER }),
    }
}

/// Unlike the later patterns, this one knows small letters only.
fn contraction(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\'', b's' | b'd' | b'm' | b't', ..] => Some(2),
        [b'\'', b'l', b'l', ..] | [b'\'', b'v' | b'r', b'e', ..] => Some(3),
        _ => None,
    }
}
