//! What the splitting patterns ask of a character: its general category, and whether it is white space.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// `\p{Lu}`, `\p{Lt}`
pub(super) const UPPERCASE: u8 = 1;
/// `\p{Ll}`
pub(super) const LOWERCASE: u8 = 1 << 1;
/// `\p{Lm}`, `\p{Lo}`
pub(super) const CASELESS: u8 = 1 << 2;
/// `\p{L}`
pub(super) const LETTER: u8 = UPPERCASE | LOWERCASE | CASELESS;
/// `\p{M}`; marks are among [`OTHER`] too.
pub(super) const MARK: u8 = 1 << 3;
/// `\p{N}`
pub(super) const NUMBER: u8 = 1 << 4;
/// `\s`
pub(super) const SPACE: u8 = 1 << 5;
/// `[\r\n]`; these are among [`SPACE`] too.
pub(super) const LINE_BREAK: u8 = 1 << 6;
/// `[^\s\p{L}\p{N}]`
pub(super) const OTHER: u8 = 1 << 7;

/// One byte of flags for every code point, from the tables of the crate that the patterns' own engine is
/// built on.
static CLASSES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut classes = vec![0; char::MAX as usize + 1];
    for (pattern, flag) in [
        (r"[\p{Lu}\p{Lt}]", UPPERCASE),
        (r"\p{Ll}", LOWERCASE),
        (r"[\p{Lm}\p{Lo}]", CASELESS),
        (r"\p{M}", MARK),
        (r"\p{N}", NUMBER),
        (r"\s", SPACE),
        (r"[\r\n]", LINE_BREAK),
        (r"[^\s\p{L}\p{N}]", OTHER),
    ] {
        let parsed = regex_syntax::parse(pattern).expect("a valid pattern");
        let HirKind::Class(Class::Unicode(class)) = parsed.kind() else {
            unreachable!("a class of characters")
        };
        for range in class.ranges() {
            for class in &mut classes[range.start() as usize..=range.end() as usize] {
                *class |= flag;
            }
        }
    }
    classes
});

/// A text in which characters can be classified by position.
#[derive(Clone, Copy)]
pub(super) struct Classified<'a> {
    text: &'a str,
    classes: &'static [u8],
}

impl<'a> Classified<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, classes: &CLASSES }
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    #[inline]
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Flags of the character at `at`, and its length in bytes; both are zero at the end of the text.
    #[inline(always)]
    pub(super) fn class(&self, at: usize) -> (u8, usize) {
        match self.bytes().get(at) {
            Some(byte) if byte.is_ascii() => (self.classes[usize::from(*byte)], 1),
            Some(_) => self.wide_class(at),
            None => (0, 0),
        }
    }

    #[inline(never)]
    fn wide_class(&self, at: usize) -> (u8, usize) {
        let character = self.text[at..].chars().next().expect("not at the end");
        (self.classes[character as usize], character.len_utf8())
    }

    /// Where the characters that have one of `flags` end, from `at` on.
    #[inline(always)]
    pub(super) fn run(&self, mut at: usize, flags: u8) -> usize {
        loop {
            let (class, width) = self.class(at);
            if class & flags == 0 {
                return at;
            }
            at += width;
        }
    }

    /// [`run`](Self::run) of letters, eight ASCII ones at a time.
    #[inline(always)]
    pub(super) fn letters(&self, mut at: usize) -> usize {
        while let Some(bytes) = self.bytes().get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
        {
            let count = leading_letters(u64::from_le_bytes(bytes));
            at += count;
            if count < 8 {
                // Most often the byte that ended the count is ASCII, and ends the run.
                return if self.bytes()[at].is_ascii() { at } else { self.run(at, LETTER) };
            }
        }
        self.run(at, LETTER)
    }

    /// Where the character before `at` starts.
    pub(super) fn before(&self, at: usize) -> usize {
        let bytes = self.bytes();
        (0..at).rev().find(|at| (bytes[*at] as i8) >= -0x40).expect("a character before")
    }
}

/// How many of eight bytes, from the lowest on, are ASCII letters.
#[inline(always)]
fn leading_letters(bytes: u64) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // Small letters without their high bits; a sum carries into the high bit from `a` on, and from past `z`
    // on.
    let small = (bytes | (0x20 * EACH)) & (0x7F * EACH);
    let from_a = small + (0x80 - u64::from(b'a')) * EACH;
    let past_z = small + (0x80 - u64::from(b'z') - 1) * EACH;
    let others = !(from_a & !past_z & !bytes) & (0x80 * EACH);
    others.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_eight_at_a_time() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                let mut bytes = *b"aZzAbYmq";
                bytes[at] = byte;
                let expected = bytes.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(8);
                assert_eq!(leading_letters(u64::from_le_bytes(bytes)), expected, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn every_character_is_white_space_a_letter_a_number_or_something_else() {
        for character in '\0'..=char::MAX {
            let class = CLASSES[character as usize];
            let kinds = [SPACE, LETTER, NUMBER, OTHER].map(|flags| u32::from(class & flags != 0));
            assert_eq!(kinds.iter().sum::<u32>(), 1, "{character:?}");
            assert_eq!(class & SPACE != 0, character.is_whitespace(), "{character:?}");
            assert_eq!(class & LINE_BREAK != 0, matches!(character, '\r' | '\n'), "{character:?}");
        }
    }
}
