//! Generation for several prompts at once: every weight is read once a step, whatever the number of texts.

use kiln_model::{Backend, GptModel};

use crate::error::Result;
use crate::generate::{GeneratedTokens, generate};
use crate::request::Request;
use crate::window::batched_logits;

/// Continues several prompts side by side, each as [`generate`] would continue it alone. Prompts may differ
/// in length; nothing is padded. A text that ends leaves the batch.
///
/// `on_token` sees the index of a request and the token chosen for it, and may end that text by returning
/// `false`.
///
/// # Errors
///
/// As [`generate`], for the first request that cannot be met.
pub fn generate_batch<B: Backend>(
    model: &GptModel<B>,
    requests: &[Request],
    mut on_token: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Vec<u32>>> {
    let mut texts = vec![Vec::new(); requests.len()];
    let mut open: Vec<(usize, GeneratedTokens<'_, B>)> = requests
        .iter()
        .enumerate()
        .map(|(index, request)| Ok((index, generate(model, request)?)))
        .collect::<Result<_>>()?;
    loop {
        open.retain(|(_, text)| !text.is_over());
        if open.is_empty() {
            return Ok(texts);
        }
        let logits = batched_logits(model, open.iter_mut().map(|(_, text)| &mut text.window).collect());
        let mut logits = logits.into_iter();
        open.retain_mut(|(index, text)| {
            let logits = logits.next().expect("logits for every open text");
            let Some(token) = text.choose(&logits) else { return false };
            texts[*index].push(token);
            on_token(*index, token)
        });
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
            assert_eq!(texts, streamed);
            for (index, request) in requests.iter().enumerate() {
                let alone: Vec<u32> = generate(&model, request).expect("a readable prompt").collect();
                assert_eq!(texts[index], alone, "prompt {index}");
            }
        }
    }
}
