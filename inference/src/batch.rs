//! Generation for several prompts at once: every weight is read once a step, whatever the number of texts.

use kiln_model::{Backend, GptModel};

use crate::error::Result;
use crate::generate::{FinishReason, GeneratedTokens, generate};
use crate::logprobs::TokenLogprob;
use crate::request::Request;
use crate::window::batched_logits;

/// What was generated for one prompt.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Completion {
    /// The tokens, without the prompt's.
    pub tokens: Vec<u32>,
    /// Why it is over.
    pub finish_reason: FinishReason,
    /// Log-probabilities of the tokens, where they were [asked for](crate::GenerateOptions::logprobs).
    pub logprobs: Vec<TokenLogprob>,
}

/// Continues several prompts side by side, each as [`generate`] would continue it alone. Prompts may differ
/// in length; nothing is padded. A text that ends leaves the batch.
///
/// `on_token` sees the index of a request and the token chosen for it, and may end that text by returning
/// `false`.
///
/// # Errors
///
/// As [`generate`] and its iterator, for the first request that cannot be met.
pub fn generate_batch<B: Backend>(
    model: &GptModel<B>,
    requests: &[Request],
    mut on_token: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Completion>> {
    let mut texts = requests
        .iter()
        .map(|request| Ok(Text { source: generate(model, request)?, tokens: Vec::new(), is_open: true }))
        .collect::<Result<Vec<Text<'_, B>>>>()?;
    loop {
        let open = texts.iter_mut().filter(|text| !text.is_over());
        let windows: Vec<_> = open.map(|text| &mut text.source.window).collect();
        if windows.is_empty() {
            return Ok(texts.into_iter().map(Text::into_completion).collect());
        }
        let mut logits = batched_logits(model, windows)?.into_iter();
        for (index, text) in texts.iter_mut().enumerate().filter(|(_, text)| !text.is_over()) {
            let logits = logits.next().expect("logits for every open text");
            if let Some(token) = text.source.choose(&logits) {
                text.tokens.push(token);
                text.is_open = on_token(index, token);
            }
        }
    }
}

/// One of several texts.
struct Text<'a, B: Backend> {
    source: GeneratedTokens<'a, B>,
    tokens: Vec<u32>,
    /// Whether whoever reads it wants more.
    is_open: bool,
}

impl<B: Backend> Text<'_, B> {
    fn is_over(&self) -> bool {
        !self.is_open || self.source.finish_reason().is_some()
    }

    fn into_completion(self) -> Completion {
        let reason = self.source.finish_reason().filter(|_| self.is_open);
        Completion {
            tokens: self.tokens,
            finish_reason: reason.unwrap_or(FinishReason::Stop),
            logprobs: self.source.into_logprobs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GenerateOptions, Sampling};
    use burn_ndarray::NdArray;
    use kiln_model::GptConfig;

    #[test]
    fn a_batch_gives_what_each_prompt_gives_alone() {
        let config =
            GptConfig { vocab_size: 29, context_length: 24, init_std: 0.3, ..GptConfig::new(2, 2, 16) };
        let model: GptModel<NdArray> = config.init(5, &Default::default()).expect("valid");
        for sampling in [Sampling::GREEDY, Sampling { temperature: 1.0, ..Sampling::default() }] {
            let request = |prompt: &[u32], max_tokens, stop: &[u32], kv_cache, seed| Request {
                prompt: prompt.to_vec(),
                options: GenerateOptions {
                    max_tokens,
                    stop: stop.to_vec(),
                    sampling: sampling.clone(),
                    seed,
                    kv_cache,
                    ..GenerateOptions::default()
                },
            };
            // Different lengths, one longer than the context, one that stops, one without a cache.
            let requests = [
                request(&[1, 2, 3], 60, &[], true, 0),
                request(&[7], 5, &[], true, 1),
                request(&(0..29).collect::<Vec<_>>(), 40, &[11], true, 2),
                request(&[4, 4, 4, 4], 30, &[], false, 3),
            ];
            let mut streamed = vec![Vec::new(); requests.len()];
            let texts = generate_batch(&model, &requests, |index, token| {
                streamed[index].push(token);
                true
            });
            let texts = texts.expect("readable prompts");
            let tokens: Vec<&[u32]> = texts.iter().map(|text| &text.tokens[..]).collect();
            assert_eq!(tokens, streamed);
            for (index, request) in requests.iter().enumerate() {
                let mut alone = generate(&model, request).expect("a readable prompt");
                let tokens: Vec<u32> = alone.by_ref().collect::<Result<_>>().expect("finite");
                assert_eq!(texts[index].tokens, tokens, "prompt {index}");
                assert_eq!(Some(texts[index].finish_reason), alone.finish_reason(), "prompt {index}");
            }
        }
    }
}
