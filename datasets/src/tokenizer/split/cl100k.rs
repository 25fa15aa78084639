//! GPT-4 and Llama 3, and with `\p{N}` alone Qwen, followed by white space:
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*`.

use super::space;
use super::splitting::contraction;
use crate::tokenizer::unicode::{Classified, LETTER, LINE_BREAK, NUMBER, OTHER};

#[inline(always)]
pub(super) fn end_of_piece<const WHOLE_AT_END: bool, const NUMBERS: usize>(
    text: Classified<'_>,
    at: usize,
) -> usize {
    let (class, width) = text.class(at);
    if class & LETTER != 0 {
        return text.letters(at + width);
    }
    if class & NUMBER != 0 {
        return numbers::<NUMBERS>(text, at);
    }
    if let Some(end) = contraction(text, at) {
        return end;
    }
    let (next, next_width) = text.class(at + width);
    if class & LINE_BREAK == 0 && next & LETTER != 0 {
        return text.letters(at + width + next_width);
    }
    match others(text, at) {
        Some(end) => text.run(end, LINE_BREAK),
        None => space::end_of_lines::<WHOLE_AT_END>(text, at),
    }
}

/// `\p{N}{1,MOST}`, where one matches.
pub(super) fn numbers<const MOST: usize>(text: Classified<'_>, mut at: usize) -> usize {
    for _ in 0..MOST {
        let (class, width) = text.class(at);
        if class & NUMBER == 0 {
            break;
        }
        at += width;
    }
    at
}

/// ` ?[^\s\p{L}\p{N}]+`: where it ends, if it matches.
pub(super) fn others(text: Classified<'_>, at: usize) -> Option<usize> {
    let first = at + usize::from(text.bytes()[at] == b' ');
    let end = text.run(first, OTHER);
    (end > first).then_some(end)
}
