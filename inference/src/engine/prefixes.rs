//! What was read before, for prompts that start alike.
//!
//! Tokens are compared, not hashes of them: what one asks is never answered with what another said.

use std::collections::VecDeque;
use std::sync::Arc;

use kiln_model::{Backend, KvCache};

use super::CHUNK;
use crate::steer::Steering;

/// What a text has read of its prompt.
pub(super) struct Prefix<'a, B: Backend> {
    pub(super) tokens: &'a [u32],
    /// What was done to them meanwhile.
    pub(super) steering: &'a Steering,
    /// Holds at least these tokens.
    pub(super) cache: &'a KvCache<B>,
    /// Logits after the whole prompt, if all of it was read.
    pub(super) logits: Option<&'a Arc<[f32]>>,
}

impl<B: Backend> Prefix<'_, B> {
    /// How many tokens of `prompt` need not be read again: all of them if this is the same prompt, else up to the last cut at
    /// which both are alike, and at which something is left to read. None of one that is steered otherwise.
    pub(super) fn serves(&self, prompt: &[u32], steering: &Steering) -> usize {
        if self.steering != steering {
            return 0;
        }
        if self.tokens == prompt && self.logits.is_some() {
            return prompt.len();
        }
        let alike = self.tokens.iter().zip(prompt).take_while(|(ours, theirs)| ours == theirs).count();
        alike.min(prompt.len() - 1) / CHUNK * CHUNK
    }
}

/// A prompt that was read.
#[derive(Debug)]
pub(super) struct ReadPrompt<B: Backend> {
    pub(super) tokens: Vec<u32>,
    /// What was done to it meanwhile.
    pub(super) steering: Steering,
    /// Its keys and values.
    pub(super) cache: KvCache<B>,
    /// Logits after it.
    pub(super) logits: Arc<[f32]>,
}

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
    pub(super) fn keep(&mut self, prompt: ReadPrompt<B>) {
        if prompt.cache.room() > self.most {
            return;
        }
        // One that this one starts with serves for nothing else.
        self.kept.retain(|kept| kept.steering != prompt.steering || !prompt.tokens.starts_with(&kept.tokens));
        self.kept.push_back(prompt);
        // Generated positions count too, and those that nothing was written to: buffers are let go as a whole.
        let held =
            |kept: &VecDeque<_>| kept.iter().map(|kept: &ReadPrompt<B>| kept.cache.room()).sum::<usize>();
        while held(&self.kept) > self.most {
            self.kept.pop_front();
        }
    }

    /// The one that serves best for `prompt`, if it serves for more than `least` tokens.
    pub(super) fn find(
        &mut self,
        prompt: &[u32],
        steering: &Steering,
        least: usize,
    ) -> Option<Prefix<'_, B>> {
        let serves = |at: usize| self.prefix(at).serves(prompt, steering);
        let (length, at) = (0..self.kept.len()).map(|at| (serves(at), at)).max()?;
        if length <= least {
            return None;
        }
        let found = self.kept.remove(at).expect("it was found there");
        self.kept.push_back(found);
        Some(self.prefix(self.kept.len() - 1))
    }

    fn prefix(&self, at: usize) -> Prefix<'_, B> {
        let ReadPrompt { tokens, steering, cache, logits } = &self.kept[at];
        Prefix { tokens, steering, cache, logits: Some(logits) }
    }
}
