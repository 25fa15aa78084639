//! One token per byte of UTF-8: any text, 256 tokens, nothing to learn.

/// Every value of a byte.
pub(super) const VOCAB_SIZE: usize = 256;

pub(super) fn encode(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

/// Ids must be inside the vocabulary.
pub(super) fn decode(tokens: &[u32]) -> Vec<u8> {
    tokens.iter().map(|token| *token as u8).collect()
}
