//! GPT-4o, where `U` is `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]` and `L` is `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`:
//! `[^\r\n\p{L}\p{N}]?U*L+(?i:'s|…)?|[^\r\n\p{L}\p{N}]?U+L*(?i:'s|…)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*`,
//! then white space.

use super::cl100k::{numbers, others};
use super::space;
use super::splitting::contraction;
use crate::tokenizer::unicode::{
    CASELESS, Classified, LETTER, LINE_BREAK, LOWERCASE, MARK, NUMBER, UPPERCASE,
};

const UPPER: u8 = UPPERCASE | CASELESS | MARK;
const LOWER: u8 = LOWERCASE | CASELESS | MARK;

#[inline(always)]
pub(super) fn end_of_piece(text: Classified<'_>, at: usize) -> usize {
    let (class, width) = text.class(at);
    if class & NUMBER != 0 {
        return numbers::<3>(text, at);
    }
    if let Some(end) = word(text, at, class, width) {
        return contraction(text, end).unwrap_or(end);
    }
    match others(text, at) {
        Some(mut end) => {
            while matches!(text.bytes().get(end), Some(b'\r' | b'\n' | b'/')) {
                end += 1;
            }
            end
        }
        None => space::end_of_lines::<false>(text, at),
    }
}

/// The first two alternatives, without the contraction.
#[inline(always)]
fn word(text: Classified<'_>, at: usize, class: u8, width: usize) -> Option<usize> {
    if class & LETTER != 0 {
        return Some(lowercase(text, at).unwrap_or_else(|after_uppercase| after_uppercase));
    }
    if class & LINE_BREAK != 0 {
        return None;
    }
    // The character is taken for the one before the word; the second alternative comes when the first has
    // failed without it too, which a mark cannot.
    let first = at + width;
    match lowercase(text, first) {
        Ok(end) => Some(end),
        Err(_) if class & MARK != 0 => Some(first),
        Err(end) => (end > first).then_some(end),
    }
}

/// `U*L+` where it matches; else the end of `U*`, none of whose characters is then an `L`.
#[inline(always)]
fn lowercase(text: Classified<'_>, start: usize) -> Result<usize, usize> {
    let (mut at, mut last_both) = (start, None);
    loop {
        let (class, width) = text.class(at);
        if class & UPPER == 0 {
            break;
        }
        at += width;
        if class & LOWER != 0 {
            last_both = Some(at);
        }
    }
    match (text.run(at, LOWER), last_both) {
        (end, _) if end > at => Ok(end),
        // `U*` gives back as little as `L+` needs: the last character that is both.
        (_, Some(end)) => Ok(end),
        (_, None) => Err(at),
    }
}
