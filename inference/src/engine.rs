//! Generation: feed the tokens, choose one, repeat.

use burn::tensor::{Int, Tensor, TensorData};
use kiln_model::{Backend, GptModel, KvCache};

use crate::Sampler;
use crate::error::{Error, Result};

/// A request for text.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Tokens to continue.
    pub prompt: Vec<u32>,
    /// Most tokens to add.
    pub max_tokens: usize,
    /// Ends the text when it is chosen; it is not part of the result.
    pub stop: Option<u32>,
    /// Whether to keep keys and values of earlier positions instead of computing them anew for every token.
    pub kv_cache: bool,
}

/// Continues a prompt; `on_token` sees each token as it is chosen and may end the text by returning `false`.
///
/// When the context is full, the newest half of it stays, and positions are counted from its start.
///
/// # Errors
///
/// [`Error::EmptyPrompt`], or [`Error::UnknownToken`] for a prompt that the model cannot read.
pub fn generate<B: Backend>(
    model: &GptModel<B>,
    request: &Generation,
    sampler: &mut Sampler,
    mut on_token: impl FnMut(u32) -> bool,
) -> Result<Vec<u32>> {
    check(model, &request.prompt)?;
    if request.prompt.is_empty() {
        return Err(Error::EmptyPrompt);
    }
    let mut window = Window::new(model, request);
    let mut generated = Vec::new();
    while generated.len() < request.max_tokens {
        let token = sampler.next(&window.logits());
        if Some(token) == request.stop {
            break;
        }
        generated.push(token);
        if !on_token(token) {
            break;
        }
        window.push(token);
    }
    Ok(generated)
}

/// Checks that every token is one of the model's.
pub(crate) fn check<B: Backend>(model: &GptModel<B>, tokens: &[u32]) -> Result<()> {
    let vocab_size = model.config().vocab_size;
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        Some(&token) => Err(Error::UnknownToken { token, vocab_size }),
        None => Ok(()),
    }
}

/// `[1, tokens]` on the model's device.
pub(crate) fn upload<B: Backend>(model: &GptModel<B>, tokens: &[u32]) -> Tensor<B, 2, Int> {
    let values: Vec<i64> = tokens.iter().map(|token| i64::from(*token)).collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [1, length]), &model.wte.weight.device())
}

/// The tokens the model sees, with the cache that saves seeing them twice.
pub(crate) struct Window<'a, B: Backend> {
    model: &'a GptModel<B>,
    tokens: Vec<u32>,
    cache: Option<KvCache<B>>,
}

impl<'a, B: Backend> Window<'a, B> {
    pub(crate) fn new(model: &'a GptModel<B>, request: &Generation) -> Self {
        let mut window = Self { model, tokens: request.prompt.clone(), cache: None };
        if request.kv_cache {
            window.cache = Some(KvCache::new(model.config(), 1, &model.wte.weight.device()));
        }
        window.shorten();
        window
    }

    /// Logits of the next token.
    fn logits(&mut self) -> Vec<f32> {
        let logits = match &mut self.cache {
            Some(cache) => self.model.forward_cached(upload(self.model, &self.tokens[cache.len()..]), cache),
            None => {
                let logits = self.model.forward(upload(self.model, &self.tokens)); // [1, tokens, vocab]
                let [_, length, vocab] = logits.dims();
                logits.narrow(1, length - 1, 1).reshape([1, vocab])
            }
        };
        logits.into_data().convert::<f32>().into_vec().expect("converted to f32")
    }

    pub(crate) fn push(&mut self, token: u32) {
        self.tokens.push(token);
        self.shorten();
    }

    /// Makes room when the context is full.
    fn shorten(&mut self) {
        let context_length = self.model.config().context_length;
        if self.tokens.len() > context_length {
            // Half at a time: the cache must be built anew, and doing so for every token would make it useless.
            let kept = context_length.div_ceil(2);
            self.tokens.drain(..self.tokens.len() - kept);
            if let Some(cache) = &mut self.cache {
                cache.truncate(0);
            }
        }
    }
}

/// Logits of the next token of each window. Windows that lack just their last token share one forward pass.
pub(crate) fn batched_logits<B: Backend>(
    model: &GptModel<B>,
    windows: Vec<&mut Window<'_, B>>,
) -> Vec<Vec<f32>> {
    let mut logits = vec![Vec::new(); windows.len()];
    let mut together = Vec::new();
    for (row, window) in windows.into_iter().enumerate() {
        match window.cache.take_if(|cache| cache.len() + 1 == window.tokens.len()) {
            Some(cache) => together.push((row, window, cache)),
            None => logits[row] = window.logits(),
        }
    }
    if together.is_empty() {
        return logits;
    }
    let last = together.iter().map(|(_, window, _)| i64::from(window.tokens[window.tokens.len() - 1]));
    let last = TensorData::new(last.collect(), [together.len(), 1]);
    let (rows, caches): (Vec<_>, Vec<_>) =
        together.into_iter().map(|(row, window, cache)| ((row, window), cache)).unzip();
    let mut cache = KvCache::stack(caches);
    let output = model.forward_cached(Tensor::from_data(last, &model.wte.weight.device()), &mut cache);
    let [_, vocab] = output.dims();
    let values: Vec<f32> = output.into_data().iter::<f32>().collect();
    for (((row, window), cache), values) in rows.into_iter().zip(cache.unstack()).zip(values.chunks(vocab)) {
        window.cache = Some(cache);
        logits[row] = values.to_vec();
    }
    logits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sampling;
    use burn_ndarray::NdArray;
    use kiln_model::GptConfig;

    fn model() -> GptModel<NdArray> {
        let config =
            GptConfig { vocab_size: 29, context_length: 24, init_std: 0.3, ..GptConfig::new(2, 2, 16) };
        config.init(5, &Default::default()).expect("valid")
    }

    fn run(sampling: Sampling, kv_cache: bool, max_tokens: usize) -> Vec<u32> {
        let request = Generation { prompt: vec![1, 2, 3], max_tokens, stop: None, kv_cache };
        generate(&model(), &request, &mut Sampler::new(sampling, 9), |_| true).expect("a readable prompt")
    }

    #[test]
    fn the_cache_changes_nothing_but_time_even_beyond_the_context() {
        for sampling in [Sampling::GREEDY, Sampling { temperature: 1.0, ..Sampling::default() }] {
            let cached = run(sampling.clone(), true, 100);
            assert_eq!(cached.len(), 100);
            assert_eq!(cached, run(sampling, false, 100));
        }
    }

    #[test]
    fn generation_ends_where_it_is_told_to() {
        let tokens = run(Sampling::GREEDY, true, 20);
        let stop = tokens[7];
        let first = tokens.iter().position(|token| *token == stop).expect("it was generated");
        let request = Generation { prompt: vec![1, 2, 3], max_tokens: 20, stop: Some(stop), kv_cache: true };
        let mut sampler = Sampler::new(Sampling::GREEDY, 0);
        let stopped = generate(&model(), &request, &mut sampler, |_| true).expect("a readable prompt");
        assert_eq!(stopped, tokens[..first]);
        let request = Generation { stop: None, ..request };
        let two = generate(&model(), &request, &mut sampler, |token| token != tokens[1])
            .expect("a readable prompt");
        assert!(two.len() <= 2);
    }

    #[test]
    fn unreadable_prompts_are_errors() {
        let request = |prompt| Generation { prompt, max_tokens: 1, stop: None, kv_cache: true };
        let ask =
            |prompt| generate(&model(), &request(prompt), &mut Sampler::new(Sampling::GREEDY, 0), |_| true);
        assert_eq!(ask(vec![]), Err(Error::EmptyPrompt));
        assert_eq!(ask(vec![29]), Err(Error::UnknownToken { token: 29, vocab_size: 29 }));
    }
}
