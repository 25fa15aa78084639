//! The byte-pair encodings of GPT-2, GPT-4 and GPT-4o, whose merges come with `tiktoken-rs`.

use std::fmt;

use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton, r50k_base_singleton};

/// A published byte-level BPE.
#[derive(Clone, Copy)]
pub(super) struct BpeTokenizer {
    name: &'static str,
    bpe: &'static CoreBPE,
    /// Tokens that merges make; special ones follow.
    ordinary: u32,
    end_of_text: u32,
    vocab_size: usize,
}

impl BpeTokenizer {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        let (name, bpe, ordinary, end_of_text, vocab_size) = match name {
            "gpt2" => ("gpt2", r50k_base_singleton(), 50_256, 50_256, 50_257),
            // Between the ordinary and the special tokens of these two lie ids that nothing uses.
            "cl100k_base" => ("cl100k_base", cl100k_base_singleton(), 100_256, 100_257, 100_277),
            "o200k_base" => ("o200k_base", o200k_base_singleton(), 199_998, 199_999, 200_019),
            _ => return None,
        };
        Some(Self { name, bpe, ordinary, end_of_text, vocab_size })
    }

    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        self.bpe.encode_ordinary(text)
    }

    /// Ids that nothing uses decode to nothing.
    pub(super) fn decode(&self, tokens: &[u32]) -> Vec<u8> {
        tokens.iter().flat_map(|token| self.bpe.decode_bytes(&[*token]).unwrap_or_default()).collect()
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    pub(super) fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    /// The bytes of every ordinary token, in the order of their ids.
    pub(super) fn ordinary_tokens(&self) -> Vec<Vec<u8>> {
        (0..self.ordinary).map(|token| self.bpe.decode_bytes(&[token]).unwrap_or_default()).collect()
    }
}

impl fmt::Debug for BpeTokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("BpeTokenizer").field(&self.name).finish()
    }
}
