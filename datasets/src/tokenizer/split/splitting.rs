//! The pattern of a tokenizer, and the walk along a text with it.

use super::{cl100k, gpt2, o200k};
use crate::tokenizer::unicode::Classified;

/// The patterns of the published tokenizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splitting {
    /// GPT-2's.
    Gpt2,
    /// GPT-4's, `cl100k_base`.
    Cl100kBase,
    /// Llama 3's: GPT-4's, but white space at the end of a text is split as elsewhere.
    Llama3,
    /// GPT-4o's, `o200k_base`.
    O200kBase,
    /// That of Qwen 2, 2.5 and 3: Llama 3's, with every digit for itself.
    Qwen2,
    /// SmolLM's: every digit for itself, and what is between split as by GPT-2.
    SmolLm,
}

impl Splitting {
    pub(in crate::tokenizer) const ALL: [Self; 6] =
        [Self::Gpt2, Self::Cl100kBase, Self::Llama3, Self::O200kBase, Self::Qwen2, Self::SmolLm];

    /// The pattern as `tokenizer.json` states it, in the dialect that Oniguruma and Rust's engines share. (SmolLM's
    /// files have two steps instead.)
    pub(in crate::tokenizer) fn pattern(self) -> &'static str {
        match self {
            Self::Gpt2 => r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            Self::Cl100kBase => {
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+\z|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
            Self::Llama3 => {
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
            Self::Qwen2 => {
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
            Self::SmolLm => r"\p{N}|'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+",
            Self::O200kBase => {
                r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
        }
    }

    /// The splitting that a pattern of a `tokenizer.json` asks for, if it is one of these.
    pub(in crate::tokenizer) fn of_pattern(pattern: &str) -> Option<Self> {
        /// As OpenAI publishes it and many files state it.
        const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
        if pattern == GPT2 {
            return Some(Self::Gpt2);
        }
        Self::ALL.into_iter().find(|splitting| splitting.pattern() == pattern)
    }

    /// Calls `piece` with start and end of every piece of `text`.
    #[inline]
    pub(in crate::tokenizer) fn for_each_piece(self, text: &str, mut piece: impl FnMut(usize, usize)) {
        let text = Classified::new(text);
        match self {
            Self::Gpt2 => walk(text, gpt2::end_of_piece::<false>, &mut piece),
            Self::Cl100kBase => walk(text, cl100k::end_of_piece::<true, 3>, &mut piece),
            Self::Llama3 => walk(text, cl100k::end_of_piece::<false, 3>, &mut piece),
            Self::O200kBase => walk(text, o200k::end_of_piece, &mut piece),
            Self::Qwen2 => walk(text, cl100k::end_of_piece::<false, 1>, &mut piece),
            Self::SmolLm => walk(text, gpt2::end_of_piece::<true>, &mut piece),
        }
    }
}

#[inline(always)]
fn walk<'a>(
    text: Classified<'a>,
    end_of_piece: impl Fn(Classified<'a>, usize) -> usize,
    piece: &mut impl FnMut(usize, usize),
) {
    let mut start = 0;
    while start < text.len() {
        let end = end_of_piece(text, start);
        piece(start, end);
        start = end;
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)`: where it ends, if it matches at `at`.
pub(super) fn contraction(text: Classified<'_>, at: usize) -> Option<usize> {
    match text.bytes().get(at..)? {
        [b'\'', b'l' | b'L', b'l' | b'L', ..]
        | [b'\'', b'v' | b'V' | b'r' | b'R', b'e' | b'E', ..]
        // The long s, which case folding makes an s.
        | [b'\'', 0xC5, 0xBF, ..] => Some(at + 3),
        [b'\'', b's' | b'S' | b'd' | b'D' | b'm' | b'M' | b't' | b'T', ..] => Some(at + 2),
        _ => None,
    }
}
