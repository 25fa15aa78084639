//! What was read before, for prompts that start alike.
//!
//! Tokens are compared, not hashes of them: what one asks is never answered with what another said.

use std::collections::VecDeque;
use std::sync::Arc;

use kiln_model::{Backend, KvCache};

use super::CHUNK;

/// What a text has read of its prompt.
pub(super) struct Prefix<'a, B: Backend> {
    pub(super) tokens: &'a [u32],
    /// Holds at least these tokens.
    pub(super) cache: &'a KvCache<B>,
    /// Logits after the whole prompt, if all of it was read.
    pub(super) logits: Option<&'a Arc<[f32]>>,
}

impl<B: Backend> Prefix<'_, B> {
    /// How many tokens of `prompt` need not be read again: all of them if this is the same prompt, else up to the last cut at
    /// which both are alike, and at which something is left to read.
    pub(super) fn serves(&self, prompt: &[u32]) -> usize {
        if self.tokens == prompt && self.logits.is_some() {
            return prompt.len();
        }
        let alike = self.tokens.iter().zip(prompt).take_while(|(ours, theirs)| ours == theirs).count();
        alike.min(prompt.len() - 1) / CHUNK * CHUNK
    }
}

/// A prompt with its keys and values, and the logits after it.
pub(super) type ReadPrompt<B> = (Vec<u32>, KvCache<B>, Arc<[f32]>);

/// Prompts of texts that are over, the one last used at the end.
#[derive(Debug)]
pub(super) struct Prefixes<B: Backend> {
    kept: VecDeque<ReadPrompt<B>>,
    /// Most positions of all together.
    most: usize,
}

impl<B: Backend> Prefixes<B> {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), most }
    }

    /// Keeps one more; those unused for longest make room for it.
    pub(super) fn keep(&mut self, tokens: Vec<u32>, cache: KvCache<B>, logits: Arc<[f32]>) {
        if cache.room() > self.most {
            return;
        }
        // One that this one starts with serves for nothing else.
        self.kept.retain(|(kept, ..)| !tokens.starts_with(kept));
        self.kept.push_back((tokens, cache, logits));
        // Generated positions count too, and those that nothing was written to: buffers are let go as a whole.
        let held = |kept: &VecDeque<_>| {
            kept.iter().map(|(_, cache, _): &(_, KvCache<B>, _)| cache.room()).sum::<usize>()
        };
        while held(&self.kept) > self.most {
            self.kept.pop_front();
        }
    }

    /// The one that serves best for `prompt`, if it serves for more than `least` tokens.
    pub(super) fn find(&mut self, prompt: &[u32], least: usize) -> Option<Prefix<'_, B>> {
        let serves = |at: usize| self.prefix(at).serves(prompt);
        let (length, at) = (0..self.kept.len()).map(|at| (serves(at), at)).max()?;
        if length <= least {
            return None;
        }
        let found = self.kept.remove(at).expect("it was found there");
        self.kept.push_back(found);
        Some(self.prefix(self.kept.len() - 1))
    }

    fn prefix(&self, at: usize) -> Prefix<'_, B> {
        let (tokens, cache, logits) = &self.kept[at];
        Prefix { tokens, cache, logits: Some(logits) }
    }
}
