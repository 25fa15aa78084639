//! Generation for several prompts at once: every weight is read once a step, whatever the number of texts.

use std::collections::HashSet;

use kiln_model::{Backend, GptModel};

use crate::engine::{Engine, EngineOptions, Event, RequestId};
use crate::error::Result;
use crate::generate::FinishReason;
use crate::logprobs::TokenLogprob;
use crate::request::Request;

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

/// Continues several prompts side by side, each as [`generate`](crate::generate()) would continue it alone. Prompts may differ
/// in length; nothing is padded. A text that ends leaves the batch.
///
/// `on_token` sees the index of a request and the token chosen for it, and may end that text by returning
/// `false`.
///
/// # Errors
///
/// As [`generate`](crate::generate()) and its iterator, for the first request that cannot be met.
pub fn generate_batch<B: Backend>(
    model: &GptModel<B>,
    requests: &[Request],
    mut on_token: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Completion>> {
    let mut engine = Engine::new(model, EngineOptions::new(requests.len()));
    let admit = |request: &Request| engine.admit(request.clone());
    let ids = requests.iter().map(admit).collect::<Result<Vec<RequestId>>>()?;
    let new = || Completion { tokens: Vec::new(), finish_reason: FinishReason::Stop, logprobs: Vec::new() };
    let mut texts: Vec<Completion> = requests.iter().map(|_| new()).collect();
    let index = |id| ids.binary_search(&id).expect("one that was admitted");
    let mut cancelled = HashSet::new();
    while !engine.is_idle() {
        for event in engine.step() {
            let id = event.id();
            let text = &mut texts[index(id)];
            match event {
                _ if cancelled.contains(&id) => {}
                Event::Token { token, logprob, .. } => {
                    text.tokens.push(token);
                    text.logprobs.extend(logprob);
                    if !on_token(index(id), token) {
                        engine.cancel(id);
                        cancelled.insert(id);
                    }
                }
                Event::Ended { reason, .. } => text.finish_reason = reason,
                Event::Failed { error, .. } => return Err(error),
                Event::Read { .. } | Event::Shortened { .. } => {}
            }
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GenerateOptions, Sampling, generate};
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
