//! Generation: feed the tokens, choose one, repeat.

use kiln_model::{Backend, GptModel};

use crate::TokenSampler;
use crate::error::Result;
use crate::request::Request;
use crate::window::Window;

/// Continues the prompt of `request`, token by token: each is computed when the iterator is asked for it.
///
/// When the context is full, the newest half of it stays, and positions are counted from its start.
///
/// # Errors
///
/// [`Error::EmptyPrompt`](crate::Error::EmptyPrompt), [`Error::UnknownToken`](crate::Error::UnknownToken) for
/// a prompt that the model cannot read, or [`Error::Sampling`](crate::Error::Sampling).
pub fn generate<'a, B: Backend>(model: &'a GptModel<B>, request: &Request) -> Result<GeneratedTokens<'a, B>> {
    let options = &request.options;
    options.sampling.validate()?;
    Ok(GeneratedTokens {
        window: Window::open(model, &request.prompt, options.kv_cache)?,
        sampler: TokenSampler::new(options.sampling.clone(), options.seed),
        stop: options.stop.clone(),
        left: options.max_tokens,
    })
}

/// The tokens of one text; made by [`generate`].
#[derive(Debug)]
pub struct GeneratedTokens<'a, B: Backend> {
    pub(crate) window: Window<'a, B>,
    sampler: TokenSampler,
    stop: Vec<u32>,
    left: usize,
}

impl<B: Backend> GeneratedTokens<'_, B> {
    /// Whether the text has all its tokens.
    pub(crate) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Chooses the next token from its logits, unless that ends the text.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Option<u32> {
        let token = self.sampler.next(logits);
        if self.stop.contains(&token) {
            self.left = 0;
            return None;
        }
        self.left -= 1;
        self.window.push(token);
        Some(token)
    }
}

impl<B: Backend> Iterator for GeneratedTokens<'_, B> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.is_over() {
            return None;
        }
        let logits = self.window.logits();
        self.choose(&logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, GenerateOptions, Sampling};
    use burn_ndarray::NdArray;
    use kiln_model::GptConfig;

    fn model() -> GptModel<NdArray> {
        let config =
            GptConfig { vocab_size: 29, context_length: 24, init_std: 0.3, ..GptConfig::new(2, 2, 16) };
        config.init(5, &Default::default()).expect("valid")
    }

    fn run(prompt: Vec<u32>, options: GenerateOptions) -> Result<Vec<u32>> {
        Ok(generate(&model(), &Request { prompt, options })?.collect())
    }

    #[test]
    fn the_cache_changes_nothing_but_time_even_beyond_the_context() {
        for sampling in [Sampling::GREEDY, Sampling { temperature: 1.0, ..Sampling::default() }] {
            let options = GenerateOptions { max_tokens: 100, sampling, seed: 9, ..Default::default() };
            let cached = run(vec![1, 2, 3], options.clone()).expect("a readable prompt");
            assert_eq!(cached.len(), 100);
            let uncached = run(vec![1, 2, 3], GenerateOptions { kv_cache: false, ..options });
            assert_eq!(cached, uncached.expect("a readable prompt"));
        }
    }

    #[test]
    fn generation_ends_where_it_is_told_to() {
        let greedy = GenerateOptions { max_tokens: 20, sampling: Sampling::GREEDY, ..Default::default() };
        let tokens = run(vec![1, 2, 3], greedy.clone()).expect("a readable prompt");
        assert_eq!(tokens.len(), 20);
        let stop = tokens[7];
        let first = tokens.iter().position(|token| *token == stop).expect("it was generated");
        let stopping = GenerateOptions { stop: vec![28, stop], ..greedy.clone() };
        let request = Request { prompt: vec![1, 2, 3], options: stopping };
        let model = model();
        let mut stopped = generate(&model, &request).expect("a readable prompt");
        let end = tokens[..first].iter().position(|token| *token == 28).unwrap_or(first);
        assert_eq!(stopped.by_ref().collect::<Vec<_>>(), tokens[..end]);
        assert_eq!(stopped.next(), None, "a text that is over stays over");
        assert_eq!(
            run(vec![1], GenerateOptions { max_tokens: 0, ..greedy }).expect("readable"),
            Vec::<u32>::new()
        );
    }

    #[test]
    fn impossible_requests_are_errors() {
        let ask = |prompt| run(prompt, GenerateOptions { max_tokens: 1, ..Default::default() });
        assert!(matches!(ask(vec![]), Err(Error::EmptyPrompt)));
        assert!(matches!(ask(vec![29]), Err(Error::UnknownToken { token: 29, vocab_size: 29 })));
        let sampling = Sampling { temperature: -1.0, ..Sampling::default() };
        let refused = run(vec![1], GenerateOptions { sampling, ..Default::default() });
        assert!(matches!(refused, Err(Error::Sampling { key: "temperature", .. })));
    }
}
