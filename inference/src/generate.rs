//! Generation: feed the tokens, choose one, repeat.

use std::collections::VecDeque;

use kiln_model::{Backend, GptModel};
use serde::Serialize;

use crate::engine::{Engine, EngineOptions, Event};
use crate::error::Result;
use crate::logprobs::TokenLogprob;
use crate::request::Request;

/// Why a text is over, in OpenAI's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// It came to its end: a token or a string that ends it, or whoever reads it had enough.
    Stop,
    /// It has as many tokens as were asked for, or as the model can see.
    Length,
}

/// Continues the prompt of `request`, token by token: each is computed when the iterator is asked for it.
///
/// When the context is full, the text goes on or ends, as [`when_full`](crate::GenerateOptions::when_full) says.
///
/// # Errors
///
/// Those of [`Engine::admit`]. The iterator itself gives [`Error::NotFinite`](crate::Error::NotFinite), and is then over.
pub fn generate<'a, B: Backend>(model: &'a GptModel<B>, request: &Request) -> Result<GeneratedTokens<'a, B>> {
    let mut engine = Engine::new(model, EngineOptions::new(1));
    engine.admit(request.clone())?;
    Ok(GeneratedTokens {
        engine,
        events: VecDeque::new(),
        finish_reason: (request.options.max_tokens == 0).then_some(FinishReason::Length),
        logprobs: Vec::new(),
    })
}

/// The tokens of one text; made by [`generate`].
#[derive(Debug)]
pub struct GeneratedTokens<'a, B: Backend> {
    engine: Engine<'a, B>,
    /// What happened and was not looked at yet.
    events: VecDeque<Event>,
    finish_reason: Option<FinishReason>,
    logprobs: Vec<TokenLogprob>,
}

impl<B: Backend> GeneratedTokens<'_, B> {
    /// Why the text is over; `None` while it is not.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish_reason
    }

    /// Log-probabilities of the tokens so far, where they were [asked for](crate::GenerateOptions::logprobs).
    pub fn logprobs(&self) -> &[TokenLogprob] {
        &self.logprobs
    }

    pub(crate) fn into_logprobs(self) -> Vec<TokenLogprob> {
        self.logprobs
    }

    /// Takes note of the end, if it is what happened next.
    fn look_ahead(&mut self) {
        if let Some(Event::Ended { reason, .. }) = self.events.front() {
            self.finish_reason = Some(*reason);
        }
    }
}

impl<B: Backend> Iterator for GeneratedTokens<'_, B> {
    type Item = Result<u32>;

    fn next(&mut self) -> Option<Result<u32>> {
        while self.finish_reason.is_none() {
            match self.events.pop_front() {
                Some(Event::Token { token, logprob, .. }) => {
                    self.logprobs.extend(logprob);
                    self.look_ahead();
                    return Some(Ok(token));
                }
                Some(Event::Failed { error, .. }) => {
                    self.finish_reason = Some(FinishReason::Stop);
                    return Some(Err(error));
                }
                Some(_) => self.look_ahead(),
                None => {
                    self.events.extend(self.engine.step());
                    self.look_ahead();
                }
            }
        }
        None
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
        generate(&model(), &Request { prompt, options })?.collect()
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
        let before: Result<Vec<u32>> = stopped.by_ref().collect();
        assert_eq!(before.expect("finite"), tokens[..end]);
        assert_eq!(stopped.finish_reason(), Some(FinishReason::Stop));
        assert!(stopped.next().is_none(), "a text that is over stays over");
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

    #[test]
    fn rows_beyond_the_tokenizer_are_never_chosen() {
        for temperature in [0.0, 5.0] {
            let sampling = Sampling { temperature, ..Sampling::default() };
            let options = GenerateOptions { sampling, max_tokens: 200, ..Default::default() };
            let all = run(vec![1], options.clone()).expect("a readable prompt");
            assert!(all.iter().any(|token| *token >= 5));
            let few = run(vec![1], GenerateOptions { vocab_size: Some(5), ..options }).expect("readable");
            assert!(few.len() == 200 && few.iter().all(|token| *token < 5), "{few:?}");
        }
    }

    #[test]
    fn log_probabilities_are_those_of_the_text() {
        let model = model();
        let options = GenerateOptions { max_tokens: 12, logprobs: Some(2), seed: 3, ..Default::default() };
        let request = Request { prompt: vec![1, 2, 3], options };
        let mut text = generate(&model, &request).expect("a readable prompt");
        let tokens: Vec<u32> = text.by_ref().collect::<Result<_>>().expect("finite");
        assert_eq!(text.finish_reason(), Some(FinishReason::Length));
        let whole = [&request.prompt[..], &tokens].concat();
        let expected = crate::score(&model, &whole).expect("short enough").logprobs;
        for (found, expected) in text.logprobs().iter().zip(&expected[3..]) {
            assert!((found.logprob - expected.expect("predicted")).abs() < 1e-5);
            assert!(found.top.len() == 2 && found.top[0].1 >= found.logprob - 1e-9);
        }
        assert_eq!(text.logprobs().len(), 12);
    }

    #[test]
    fn a_model_that_computes_no_numbers_is_an_error_and_not_a_text() {
        let config = GptConfig { init_std: 3e38, ..model().config().clone() };
        let model: GptModel<NdArray> = config.init(5, &Default::default()).expect("valid");
        let request = Request { prompt: vec![1, 2, 3], options: GenerateOptions::default() };
        let mut text = generate(&model, &request).expect("a readable prompt");
        assert!(matches!(text.next(), Some(Err(Error::NotFinite { position: 2, .. }))));
        assert!(text.next().is_none());
        let batch = crate::generate_batch(&model, &[request.clone(), request], |_, _| true);
        assert!(matches!(batch, Err(Error::NotFinite { .. })));
        assert!(matches!(crate::score(&model, &[1, 2]), Err(Error::NotFinite { position: 0, .. })));
        let shard = kiln_datasets::TokenShard::temporary(&[1; 50], 50).expect("a temporary file");
        let windows = kiln_datasets::Windows::new(&shard, 1, config.context_length);
        let loss = crate::evaluate(&model, windows, |_, _| {});
        assert!(matches!(loss, Err(Error::LossNotFinite { first: 1, last: 24, .. })));
    }
}
