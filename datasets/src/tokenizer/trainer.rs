//! A tokenizer learned from texts.

use std::sync::Arc;

use super::count::PieceCounts;
use super::train::Learned;
use super::{CHAT_TOKENS, Kind, Tokenizer, document};
use crate::error::{Error, Result};

impl Tokenizer {
    /// What a [`BpeTrainer`] learns from `texts`.
    ///
    /// # Errors
    ///
    /// [`Error::VocabSize`] if there is no room for the 256 bytes and the
    /// end-of-text token.
    pub fn train_bpe(texts: impl IntoIterator<Item: AsRef<str>>, vocab_size: usize) -> Result<Self> {
        let mut trainer = BpeTrainer::default();
        texts.into_iter().for_each(|text| trainer.add(text.as_ref()));
        trainer.train(vocab_size)
    }
}

/// Learns a byte-level BPE from texts that come one after the other, on all threads; deterministic. What is
/// kept of a text is how often each piece occurs.
#[derive(Default)]
pub struct BpeTrainer(PieceCounts);

impl BpeTrainer {
    /// Takes in a document.
    pub fn add(&mut self, text: &str) {
        self.0.add(text);
    }

    /// As [`train`](Self::train), with the [tokens of a conversation](Tokenizer::with_chat_tokens) among the
    /// `vocab_size`.
    ///
    /// # Errors
    ///
    /// [`Error::VocabSize`] if there is no room for them, the 256 bytes and the end-of-text
    /// token.
    pub fn train_with_chat_tokens(self, vocab_size: usize) -> Result<Tokenizer> {
        let learned =
            self.train(vocab_size.saturating_sub(CHAT_TOKENS.len())).map_err(|error| match error {
                Error::VocabSize { least, .. } => {
                    Error::VocabSize { vocab_size, least: least + CHAT_TOKENS.len() }
                }
                other => other,
            })?;
        learned.with_chat_tokens()
    }

    /// A tokenizer of at most `vocab_size` tokens.
    ///
    /// # Errors
    ///
    /// [`Error::VocabSize`] if there is no room for the 256 bytes and the
    /// end-of-text token.
    pub fn train(self, vocab_size: usize) -> Result<Tokenizer> {
        let learned = Learned::from_counts(self.0.finish(), vocab_size)?;
        Ok(Kind::Bpe(Arc::new(document::of_learned(&learned))).into())
    }
}
