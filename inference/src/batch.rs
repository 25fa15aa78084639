//! Generation for several prompts at once: every weight is read once a step, whatever the number of texts.

use kiln_model::{Backend, GptModel};

use crate::engine::{Window, batched_logits, check};
use crate::error::{Error, Result};
use crate::{Generation, Sampler};

/// Continues several prompts side by side, each as [`generate`](crate::generate) would continue it alone with its
/// sampler; prompts of any lengths, without padding. Texts that end leave the batch.
///
/// `on_token` sees the index of a request and the token chosen for it, and may end that text by returning `false`.
///
/// # Errors
///
/// [`Error::EmptyPrompt`], or [`Error::UnknownToken`] for a prompt that the model cannot read.
///
/// # Panics
///
/// If there are not as many samplers as requests.
pub fn generate_batch<B: Backend>(
    model: &GptModel<B>,
    requests: &[Generation],
    samplers: &mut [Sampler],
    mut on_token: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Vec<u32>>> {
    assert_eq!(requests.len(), samplers.len(), "every request needs a sampler");
    for request in requests {
        check(model, &request.prompt)?;
        if request.prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
    }
    let mut texts = vec![Vec::new(); requests.len()];
    let mut open: Vec<(usize, Window<'_, B>)> =
        requests.iter().enumerate().map(|(index, request)| (index, Window::new(model, request))).collect();
    loop {
        open.retain(|(index, _)| texts[*index].len() < requests[*index].max_tokens);
        if open.is_empty() {
            return Ok(texts);
        }
        let logits = batched_logits(model, open.iter_mut().map(|(_, window)| window).collect());
        let mut logits = logits.into_iter();
        open.retain_mut(|(index, window)| {
            let token = samplers[*index].next(&logits.next().expect("logits for every open text"));
            if Some(token) == requests[*index].stop {
                return false;
            }
            texts[*index].push(token);
            window.push(token);
            on_token(*index, token)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sampling, generate};
    use burn_ndarray::NdArray;
    use kiln_model::GptConfig;

    #[test]
    fn a_batch_gives_what_each_prompt_gives_alone() {
        let config =
            GptConfig { vocab_size: 29, context_length: 24, init_std: 0.3, ..GptConfig::new(2, 2, 16) };
        let model: GptModel<NdArray> = config.init(5, &Default::default()).expect("valid");
        let request = |prompt: &[u32], max_tokens, stop, kv_cache| Generation {
            prompt: prompt.to_vec(),
            max_tokens,
            stop,
            kv_cache,
        };
        // Different lengths, one longer than the context, one that stops, one without a cache.
        let requests = [
            request(&[1, 2, 3], 60, None, true),
            request(&[7], 5, None, true),
            request(&(0..29).collect::<Vec<_>>(), 40, Some(11), true),
            request(&[4, 4, 4, 4], 30, None, false),
        ];
        for sampling in [Sampling::GREEDY, Sampling { temperature: 1.0, ..Sampling::default() }] {
            let sampler = |index: usize| Sampler::new(sampling.clone(), index as u64);
            let mut samplers: Vec<Sampler> = (0..requests.len()).map(sampler).collect();
            let mut streamed = vec![Vec::new(); requests.len()];
            let texts = generate_batch(&model, &requests, &mut samplers, |index, token| {
                streamed[index].push(token);
                true
            });
            let texts = texts.expect("readable prompts");
            assert_eq!(texts, streamed);
            for (index, request) in requests.iter().enumerate() {
                let alone = generate(&model, request, &mut sampler(index), |_| true);
                assert_eq!(texts[index], alone.expect("a readable prompt"), "prompt {index}");
            }
        }
    }
}
