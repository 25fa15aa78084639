//! One text on its way to the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln_datasets::{StreamDecoder, Tokenizer};

use crate::engine::Event;
use crate::generate::FinishReason;
use crate::logprobs::TokenLogprob;
use crate::stop::StopStrings;

/// The prompt of a text.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// How many of them the tokenizer put first: they are no part of the text.
    pub hidden: usize,
}

/// A token that is told with its log-probability.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The token.
    pub token: u32,
    /// `None` for the first one, which nothing predicts.
    pub logprob: Option<TokenLogprob>,
    /// Characters of the text before it.
    pub offset: usize,
    /// Whether it is the token that ended the text, and no part of it.
    pub is_end: bool,
}

/// What an event adds to a text.
#[derive(Debug, Default)]
pub(super) struct Update {
    /// Characters.
    pub text: String,
    /// Tokens with their log-probabilities, where they were asked for.
    pub entries: Vec<Entry>,
    /// Why the text is over, if it is.
    pub end: Option<FinishReason>,
}

/// A text: its tokens become characters, up to a string that ends it. Nobody wants it any more when it is dropped.
#[derive(Debug)]
pub(super) struct Choice {
    decoder: StreamDecoder,
    stop: StopStrings,
    /// The prompt, until it was repeated in the text.
    echo: Option<Prompt>,
    shows_logprobs: bool,
    /// Tells the engine that nobody wants it any more.
    cancelled: Arc<AtomicBool>,
    /// Characters so far.
    characters: usize,
    is_over: bool,
    /// Tokens that were generated.
    pub completion_tokens: usize,
    /// Tokens of the prompt that were read before.
    pub cached_tokens: usize,
    /// The sum of the log-probabilities, where they were asked for.
    pub logprob: f64,
}

impl Choice {
    /// A text at its beginning; it repeats `echo` first.
    pub(super) fn new(
        stop: &[String],
        echo: Option<Prompt>,
        shows_logprobs: bool,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        Self {
            decoder: StreamDecoder::default(),
            stop: StopStrings::new(stop.iter().cloned()),
            echo,
            shows_logprobs,
            cancelled,
            characters: 0,
            is_over: false,
            completion_tokens: 0,
            cached_tokens: 0,
            logprob: 0.0,
        }
    }

    /// Whether nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What `event` adds.
    pub(super) fn take(&mut self, event: Event, tokenizer: &Tokenizer) -> Update {
        let mut update = Update::default();
        if self.is_over {
            return update;
        }
        let of_prompt = match &event {
            Event::Read { logprobs, .. } => &logprobs[..],
            _ => &[],
        };
        self.repeat_prompt(of_prompt, tokenizer, &mut update);
        match event {
            Event::Read { cached, .. } => self.cached_tokens = cached,
            Event::Token { token, logprob, .. } => self.grow(token, logprob, tokenizer, &mut update),
            Event::Ended { reason, stop, .. } => self.end(reason, stop, &mut update),
            // The worker tells failures apart, and no text is shortened.
            Event::Failed { .. } | Event::Shortened { .. } => {}
        }
        update
    }

    fn repeat_prompt(&mut self, logprobs: &[TokenLogprob], tokenizer: &Tokenizer, update: &mut Update) {
        let Some(prompt) = self.echo.take() else { return };
        let mut logprobs = std::iter::once(None).chain(logprobs.iter().cloned().map(Some));
        for (index, token) in prompt.tokens.into_iter().enumerate() {
            self.tell(token, logprobs.next().flatten(), false, update);
            if index >= prompt.hidden {
                let text = self.decode(token, tokenizer);
                update.text.push_str(&text);
            }
        }
    }

    fn grow(
        &mut self,
        token: u32,
        logprob: Option<TokenLogprob>,
        tokenizer: &Tokenizer,
        update: &mut Update,
    ) {
        self.count(&logprob);
        self.tell(token, logprob, false, update);
        let piece = self.decode(token, tokenizer);
        update.text.push_str(&self.stop.push(&piece));
        if self.stop.is_found() {
            self.is_over = true;
            self.cancelled.store(true, Ordering::Relaxed);
            update.end = Some(FinishReason::Stop);
        }
    }

    fn end(&mut self, reason: FinishReason, stop: Option<(u32, Option<TokenLogprob>)>, update: &mut Update) {
        self.is_over = true;
        let rest = self.decoder.finish();
        self.characters += rest.chars().count();
        update.text.push_str(&self.stop.push(&rest));
        update.text.push_str(&self.stop.finish());
        if let Some((token, logprob)) = stop {
            self.count(&logprob);
            self.tell(token, logprob, true, update);
        }
        update.end = Some(if self.stop.is_found() { FinishReason::Stop } else { reason });
    }

    fn count(&mut self, logprob: &Option<TokenLogprob>) {
        self.completion_tokens += 1;
        self.logprob += logprob.as_ref().map_or(0.0, |found| found.logprob);
    }

    fn tell(&self, token: u32, logprob: Option<TokenLogprob>, is_end: bool, update: &mut Update) {
        if self.shows_logprobs {
            update.entries.push(Entry { token, logprob, offset: self.characters, is_end });
        }
    }

    /// The characters that `token` completes.
    fn decode(&mut self, token: u32, tokenizer: &Tokenizer) -> String {
        // An id that the tokenizer leaves out has no text.
        let bytes = tokenizer.token_bytes(token).unwrap_or_default();
        let piece = self.decoder.push(&bytes);
        self.characters += piece.chars().count();
        piece
    }
}

impl Drop for Choice {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}
