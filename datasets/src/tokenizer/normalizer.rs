//! What a tokenizer does to a text before it looks at it.

use std::borrow::Cow;

use serde_json::Value;
// The `tokenizers` crate takes this one, whose tables are of Unicode 9: with newer ones, some rare characters would
// get other ids than those that models were trained with.
use unicode_normalization_alignments::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The normal forms that our encoder knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Normalizer {
    None,
    /// Composed: `e` and a combining accent become `é`.
    Nfc,
}

impl Normalizer {
    /// The one that a `tokenizer.json` asks for, if it is one of these.
    pub(super) fn of(normalizer: &Value) -> Option<Self> {
        match normalizer["type"].as_str() {
            None if normalizer.is_null() => Some(Self::None),
            Some("NFC") => Some(Self::Nfc),
            Some("Sequence") => match normalizer["normalizers"].as_array()?.as_slice() {
                [] => Some(Self::None),
                [only] => Self::of(only),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn normalize(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Nfc => nfc(text),
        }
    }
}

/// Nothing joins with an ASCII character before it. So a text is made of stretches that are normalised one by one:
/// most are ASCII, or normal already.
fn nfc(text: &str) -> Cow<'_, str> {
    let (mut normal, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(stretch) = next_stretch(text, at) {
        at = stretch.end;
        let stretch_text = &text[stretch.clone()];
        if is_nfc_quick(stretch_text.chars()) != IsNormalized::Yes {
            normal.push_str(&text[copied..stretch.start]);
            normal.extend(stretch_text.nfc().map(|(character, _)| character));
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    normal.push_str(&text[copied..]);
    Cow::Owned(normal)
}

/// The next characters that are not ASCII, with the one before them.
fn next_stretch(text: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let first = from + bytes[from..].iter().position(|byte| !byte.is_ascii())?;
    let end = bytes[first..].iter().position(u8::is_ascii).map_or(bytes.len(), |length| first + length);
    // At `from` itself a character begins that is not ASCII only if it is the first of the text.
    Some(first.saturating_sub(usize::from(first > from))..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stretches_are_normalised_as_the_whole(
            parts in prop::collection::vec(
                prop_oneof!["[a-zA-Z ]{1,3}", "[\u{300}-\u{345}]{1,3}", "\\PC{1,2}", "[ᄀ-ᇿ가-각Ω\u{958}\u{212b}\u{2126}]{1,2}"],
                0..20,
            ),
        ) {
            let text = parts.concat();
            let whole: String = text.nfc().map(|(character, _)| character).collect();
            prop_assert_eq!(Normalizer::Nfc.normalize(&text), whole);
        }
    }

    #[test]
    fn a_normal_text_is_not_copied() {
        for text in ["", "plain", "naïve 你好 🦀"] {
            assert!(matches!(Normalizer::Nfc.normalize(text), Cow::Borrowed(_)), "{text}");
        }
        assert_eq!(Normalizer::Nfc.normalize("xe\u{301}\u{212b}y"), "xéÅy");
    }
}
