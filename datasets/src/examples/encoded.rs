//! Examples as tokens.

use super::Provenance;

/// An example as tokens, and which of them are learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Tokens of the whole example.
    pub tokens: Vec<u32>,
    /// As many: whether the token is a target. The first never is one, as nothing is before it.
    pub trained: Vec<bool>,
    /// Where the example stands.
    pub provenance: Provenance,
}

impl Encoded {
    /// Number of tokens that are learned.
    pub fn num_targets(&self) -> usize {
        self.trained.iter().skip(1).filter(|trained| **trained).count()
    }

    /// Tokens before the first that is learned.
    pub fn prompt_length(&self) -> usize {
        let first = self.trained.iter().skip(1).position(|trained| *trained);
        first.map_or(self.tokens.len(), |first| first + 1)
    }

    /// Keeps the first `length` tokens, and tells whether that cut something off.
    pub(super) fn truncate(&mut self, length: usize) -> bool {
        let is_longer = self.tokens.len() > length;
        self.tokens.truncate(length);
        self.trained.truncate(length);
        is_longer
    }
}

/// Two answers to one prompt, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPair {
    /// The prompt and the better answer; the answer is trained.
    pub chosen: Encoded,
    /// The prompt and the worse one.
    pub rejected: Encoded,
}

/// Examples that are ready to be learned, and what became of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedExamples<T> {
    /// In the order of the file.
    pub examples: Vec<T>,
    /// Examples of these whose end is cut off, as the context has no room for it.
    pub truncated: usize,
    /// Examples that are left out, as the context has no room for their answer.
    pub dropped: usize,
    /// Pairs that are left out, as both answers are the same.
    pub identical: usize,
}
