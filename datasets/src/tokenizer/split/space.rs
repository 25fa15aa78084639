//! What the patterns do with white space that belongs to no word.

use crate::tokenizer::unicode::{Classified, LINE_BREAK, NUMBER, SPACE};

/// `\s+(?!\S)|\s+`: the run of white space at `at`, but for its last character if something follows.
/// `ENDS_AT_DIGIT`: a digit is as good as the end of the text.
pub(super) fn end_of_run<const ENDS_AT_DIGIT: bool>(text: Classified<'_>, at: usize) -> usize {
    let end = text.run(at, SPACE);
    match ENDS_AT_DIGIT && text.class(end).0 & NUMBER != 0 {
        true => end,
        false => leave_one(text, at, end),
    }
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`: up to the last line break of the run; without one, as [`end_of_run`].
/// `WHOLE_AT_END` puts `\s+\z` first.
pub(super) fn end_of_lines<const WHOLE_AT_END: bool>(text: Classified<'_>, at: usize) -> usize {
    let (mut end, mut last_break) = (at, None);
    loop {
        let (class, width) = text.class(end);
        if class & SPACE == 0 {
            break;
        }
        end += width;
        if class & LINE_BREAK != 0 {
            last_break = Some(end);
        }
    }
    match last_break {
        _ if WHOLE_AT_END && end == text.len() => end,
        Some(end) => end,
        None => leave_one(text, at, end),
    }
}

fn leave_one(text: Classified<'_>, start: usize, end: usize) -> usize {
    if end == text.len() {
        return end;
    }
    match text.before(end) {
        last if last == start => end,
        last => last,
    }
}
