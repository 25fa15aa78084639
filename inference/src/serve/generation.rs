//! All texts of one request: from the queue to their ends.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use axum::http::StatusCode;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use super::app::App;
use super::choice::{Choice, Entry, Prompt, Update};
use super::error::{ApiError, Result};
use super::parameters::Parameters;
use super::phase::Phase;
use super::worker::{Text, Told};
use crate::generate::FinishReason;
use crate::request::Request;

/// Texts of one request at most.
const MOST_TEXTS: usize = 2048;

/// Texts that are being written for a client, who gives them up by dropping this.
#[derive(Debug)]
pub(super) struct Generation {
    app: Arc<App>,
    told: UnboundedReceiver<Told>,
    choices: Vec<Choice>,
    phase: watch::Receiver<Phase>,
    best_of: usize,
    prompt_tokens: usize,
}

/// A text that is over.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// Its characters.
    pub text: String,
    /// Its tokens, where their log-probabilities were asked for.
    pub entries: Vec<Entry>,
    /// Why it is over.
    pub end: Option<FinishReason>,
    /// The mean log-probability of a token, where that was asked for.
    pub mean_logprob: f64,
}

/// How many tokens a request took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Of its prompts.
    pub prompt: usize,
    /// Of them, those that had been read before.
    pub cached: usize,
    /// Of its texts.
    pub completion: usize,
}

impl Generation {
    /// Sends texts to the worker: `best_of` for each prompt, which they repeat first if `echo`. `param` is the field of the
    /// prompts.
    pub(super) fn start(
        app: Arc<App>,
        prompts: Vec<Prompt>,
        parameters: &Parameters,
        echo: bool,
        param: &str,
    ) -> Result<Self> {
        let context_length = app.facts.context_length;
        if prompts.iter().any(|prompt| prompt.tokens.is_empty()) {
            return Err(ApiError::invalid(param, format!("`{param}` has no tokens.")));
        }
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        if longest > context_length {
            return Err(ApiError::too_long(param, longest, context_length));
        }
        let texts = prompts.len() * parameters.best_of;
        if texts > MOST_TEXTS {
            let message = format!("The request asks for {texts} texts; at most {MOST_TEXTS} are possible.");
            return Err(ApiError::invalid(param, message));
        }
        app.reserve(texts)?;
        Self::send(app, prompts, parameters, echo)
    }

    fn send(app: Arc<App>, prompts: Vec<Prompt>, parameters: &Parameters, echo: bool) -> Result<Self> {
        let (sender, told) = unbounded_channel();
        let (mut texts, mut choices) = (Vec::new(), Vec::new());
        let arrived = Instant::now();
        let prompt_tokens = prompts.iter().map(|prompt| prompt.tokens.len()).sum();
        for prompt in prompts {
            for index in 0..parameters.best_of {
                let mut options = parameters.options_of(index);
                let shows_logprobs = options.logprobs.is_some();
                if parameters.best_of > parameters.n {
                    options.logprobs.get_or_insert(0);
                }
                if echo {
                    options.prompt_logprobs = parameters.options.logprobs;
                }
                let cancelled = Arc::new(AtomicBool::new(false));
                let echoed = echo.then(|| prompt.clone());
                let request = Request { prompt: prompt.tokens.clone(), options };
                let (index, sender) = (choices.len(), sender.clone());
                texts.push(Text { index, request, sender, cancelled: Arc::clone(&cancelled), arrived });
                choices.push(Choice::new(&parameters.stop, echoed, shows_logprobs, cancelled));
            }
        }
        app.texts.send(texts).map_err(|_| ApiError::internal())?;
        let (phase, best_of) = (app.phase.clone(), parameters.best_of);
        Ok(Self { app, told, choices, phase, best_of, prompt_tokens })
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.choices.len()
    }

    /// What the texts are generated with.
    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// What happens next, and to which text; `None` when all are over.
    pub(super) async fn next(&mut self) -> Option<Result<(usize, Update)>> {
        if self.choices.iter().all(Choice::is_over) {
            return None;
        }
        // What was told before the end is heard first.
        let told = tokio::select! {
            biased;
            told = self.told.recv() => told,
            _ = self.phase.wait_for(|phase| *phase == Phase::Over) => return Some(Err(ApiError::ending())),
        };
        Some(match told {
            None => Err(ApiError::internal()),
            Some((_, Err(error))) => Err(error.into()),
            Some((index, Ok(event))) => {
                Ok((index, self.choices[index].take(event, &self.app.facts.tokenizer)))
            }
        })
    }

    /// All texts, once they are over.
    pub(super) async fn finish(&mut self) -> Result<Vec<Whole>> {
        let mut wholes: Vec<Whole> = self.choices.iter().map(|_| Whole::default()).collect();
        while let Some(next) = self.next().await {
            let (index, update) = next?;
            let whole = &mut wholes[index];
            whole.text.push_str(&update.text);
            whole.entries.extend(update.entries);
            whole.end = update.end.or(whole.end);
        }
        for (whole, choice) in wholes.iter_mut().zip(&self.choices) {
            whole.mean_logprob = choice.logprob / choice.completion_tokens.max(1) as f64;
        }
        Ok(wholes)
    }

    /// How many tokens all of it took.
    pub(super) fn usage(&self) -> Usage {
        let firsts = self.choices.iter().step_by(self.best_of);
        Usage {
            prompt: self.prompt_tokens,
            cached: firsts.map(|choice| choice.cached_tokens).sum(),
            completion: self.choices.iter().map(|choice| choice.completion_tokens).sum(),
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let given_up = self.choices.iter().filter(|choice| !choice.is_over()).count();
        self.app.metrics.cancelled(given_up);
    }
}

/// The error of a server that has as much to do as it may have.
pub(super) fn busy() -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "The queue is full; try again later.")
}
