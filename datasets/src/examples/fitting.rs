//! What of the examples fits into the context.

use super::encoded::{Encoded, EncodedExamples};
use super::{Flaw, Provenance};
use crate::error::Result;

/// Counts what does not fit into the context.
pub(super) struct Fitting<T> {
    pub examples: Vec<T>,
    context_length: usize,
    total: usize,
    truncated: usize,
    dropped: usize,
    pub identical: usize,
    /// The first that was dropped, and the length of its prompt.
    first: Option<(Provenance, usize)>,
}

impl<T> Fitting<T> {
    pub(super) fn new(context_length: usize, total: usize) -> Self {
        Self {
            examples: Vec::new(),
            context_length,
            total,
            truncated: 0,
            dropped: 0,
            identical: 0,
            first: None,
        }
    }

    /// Cuts the texts of an example to what the model reads, and says whether each still has something to learn.
    pub(super) fn take<const N: usize>(&mut self, texts: [&mut Encoded; N]) -> bool {
        let (mut is_cut, mut is_whole) = (false, true);
        for text in texts {
            let prompt = text.prompt_length();
            // The last token is only a target.
            is_cut |= text.truncate(self.context_length + 1);
            if text.num_targets() == 0 {
                is_whole = false;
                self.first.get_or_insert_with(|| (text.provenance.clone(), prompt));
            }
        }
        self.truncated += usize::from(is_cut && is_whole);
        self.dropped += usize::from(!is_whole);
        is_whole
    }

    /// # Errors
    ///
    /// If more than half were dropped.
    pub(super) fn finish(self) -> Result<EncodedExamples<T>> {
        let Self { examples, context_length, total, truncated, dropped, identical, first } = self;
        match first {
            Some((provenance, tokens)) if 2 * dropped > total => Err(provenance.error(Flaw::PromptTooLong {
                tokens,
                context_length,
                dropped,
                examples: total,
            })),
            _ => Ok(EncodedExamples { examples, truncated, dropped, identical }),
        }
    }
}
