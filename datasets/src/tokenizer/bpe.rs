//! Byte-level BPE: every text is a sequence of its tokens, since every byte is one.

use std::fmt;

use super::added::{AddedTokens, Part};
use super::encoder::Encoder;

/// A byte-level BPE, published or learned.
pub(super) struct Bpe {
    pub(super) name: &'static str,
    pub(super) encoder: Encoder,
    /// Bytes of every token in the order of the ids; nothing for an id that nothing uses.
    pub(super) tokens: TokenBytes,
    /// Tokens that are taken from a text before it is split.
    pub(super) added: AddedTokens,
    pub(super) end_of_text: Option<u32>,
    /// For a tokenizer from a file: its text, and a number that two files share only if they encode alike.
    pub(super) file: Option<(String, u64)>,
}

impl Bpe {
    /// The ids of `text`, on all threads of the current pool if it is long.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        self.encode_parts(text, false, |text| self.encoder.encode(text))
    }

    /// As [`encode`](Self::encode), on the calling thread alone.
    #[cfg(feature = "prepare")]
    pub(super) fn encode_on_this_thread(&self, text: &str) -> Vec<u32> {
        self.encode_parts(text, false, |text| self.encoder.encode_chunk(text))
    }

    /// Special tokens written out in the text become their ids.
    pub(super) fn encode_with_special_tokens(&self, text: &str) -> Vec<u32> {
        self.encode_parts(text, true, |text| self.encoder.encode(text))
    }

    fn encode_parts(&self, text: &str, special: bool, encode: impl Fn(&str) -> Vec<u32>) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.added.for_each_part(text, special, &mut |part| match part {
            // Most texts are one part, which need not be copied.
            Part::Text(text) if tokens.is_empty() => tokens = encode(text),
            Part::Text(text) => tokens.extend(encode(text)),
            Part::Token(token) => tokens.push(token),
        });
        tokens
    }

    /// Whether [`encode_bytes`](Self::encode_bytes) has an answer.
    pub(super) fn takes_bytes(&self) -> bool {
        self.added.leave_texts_alone() && self.encoder.is_complete()
    }

    /// The tokens of bytes that need not be UTF-8, as Python's tiktoken has them: the text before the first
    /// invalid byte is split as usual, and its last piece joins all that follows into one.
    pub(super) fn encode_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => return self.encode(text),
            Err(error) => error.valid_up_to(),
        };
        let text = std::str::from_utf8(&bytes[..valid]).expect("valid up to there");
        let mut rest = self.encoder.start_of_last_piece(text);
        let mut last = Vec::new();
        if rest < valid {
            self.encoder.encode_piece(&bytes[rest..valid], &mut last);
        }
        // Cut after encoding: white space before the last piece is split by what follows it.
        let mut tokens = self.encode(text);
        tokens.truncate(tokens.len() - last.len());
        // White space may have been split only because of what it seemed to be followed by.
        if last.first().is_some_and(|token| self.is_blank(*token)) {
            while let Some(token) = tokens.pop_if(|token| self.is_blank(*token)) {
                rest -= self.tokens.get(token).len();
            }
        }
        self.encoder.encode_piece(&bytes[rest..], &mut tokens);
        tokens
    }

    fn is_blank(&self, token: u32) -> bool {
        self.tokens.get(token).iter().all(|byte| matches!(byte, b' ' | b'\n' | b'\t'))
    }

    pub(super) fn decode(&self, tokens: &[u32]) -> Vec<u8> {
        tokens.iter().flat_map(|token| self.tokens.get(*token)).copied().collect()
    }
}

impl fmt::Debug for Bpe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Bpe").field(&self.name).finish()
    }
}

/// The bytes of many tokens in one piece of memory.
#[derive(Debug)]
pub(super) struct TokenBytes {
    bytes: Vec<u8>,
    /// Where each token ends.
    ends: Vec<u32>,
}

impl TokenBytes {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The id must be one of these.
    pub(super) fn get(&self, token: u32) -> &[u8] {
        let token = token as usize;
        let start = token.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[token] as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|token| self.get(token))
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for TokenBytes {
    fn from_iter<I: IntoIterator<Item = T>>(tokens: I) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for token in tokens {
            bytes.extend_from_slice(token.as_ref());
            ends.push(bytes.len() as u32);
        }
        Self { bytes, ends }
    }
}

#[cfg(test)]
mod tests {
    use crate::Tokenizer;

    /// Ids printed by Python's tiktoken, `Encoding._encode_bytes`.
    #[test]
    fn bytes_that_are_not_utf8_are_encoded_as_by_tiktoken() {
        let gpt2 = Tokenizer::open("gpt2").expect("embedded");
        for (bytes, pieces) in [
            (&b"hello\xff"[..], &[&b"hello"[..], b"\xff"][..]),
            (b"a   \xff", &[b"a", b" ", b" ", b" ", b"\xff"]),
            (
                b" \xe2\x80\x86\xeb\xb6\xaa\xa8",
                &[b" ", b"\xe2\x80", b"\x86", b"\xeb", b"\xb6", b"\xaa", b"\xa8"],
            ),
            (b"x\xef\xb8\xb4\xef\xb8", &[b"x", b"\xef\xb8", b"\xb4", b"\xef\xb8"]),
        ] {
            let ids = gpt2.encode_bytes(bytes).expect("any bytes");
            let decoded: Vec<Vec<u8>> =
                ids.iter().map(|id| gpt2.decode_bytes(&[*id]).expect("own token")).collect();
            assert_eq!(decoded, pieces);
        }
        let characters = Tokenizer::characters_of("abc");
        assert!(matches!(characters.encode_bytes(b"ab\xff"), Err(crate::Error::InvalidUtf8 { byte: 3, .. })));
    }
}
