//! One text on its way: what of it was read, and how it goes on.

use std::sync::Arc;

use burn::tensor::Tensor;
use kiln_model::{Backend, GptModel, KvCache, NoTap};

use super::CHUNK;
use super::event::{Event, RequestId};
use super::prefixes::{Prefix, ReadPrompt};
use crate::TokenSampler;
use crate::constraint::ConstrainedText;
use crate::error::Result;
use crate::generate::FinishReason;
use crate::logits::check_finite;
use crate::logprobs::TokenLogprob;
use crate::request::{GenerateOptions, Request, WhenFull};
use crate::steer::{SteeredSequence, Steering, SteeringTap};
use crate::tokens::{to_vec, upload};

/// Positions that are read at a time where nobody waits for it; a multiple of [`CHUNK`].
const ALONE: usize = 8 * CHUNK;

/// Positions beyond the prompt that get room at once, at most: enough for most texts, and little beside what a long context takes.
const ROOM: usize = 256;

/// A request that runs.
#[derive(Debug)]
pub(super) struct Slot<B: Backend> {
    pub(super) id: RequestId,
    options: GenerateOptions,
    sampler: TokenSampler,
    /// What is done to the stream.
    steering: SteeredSequence<B>,
    /// What of it is done to the prompt, on which what is cached depends.
    steering_of_prompt: Steering,
    /// Tokens of the prompt.
    prompt_len: usize,
    /// What of its form is written.
    form: Option<Box<dyn ConstrainedText>>,
    /// Tokens that may be chosen: those below this.
    vocab_size: usize,
    context_length: usize,
    /// What the model sees of the text.
    tokens: Vec<u32>,
    /// The first of `tokens` that are read in chunks: the prompt, until the context is full. The others were generated, each
    /// read in a step of its own.
    in_chunks: usize,
    /// Tokens of the text that the model no longer sees.
    passed: usize,
    /// Keys and values of what was read of `tokens`; `None` where they are computed again for every token.
    cache: Option<KvCache<B>>,
    /// Logits after the prompt, once it was read.
    prompt_logits: Option<Arc<[f32]>>,
    /// Tokens of the prompt that another text had read.
    cached: usize,
    /// Log-probabilities of the prompt so far.
    prompt_logprobs: Vec<TokenLogprob>,
    /// Tokens that it may still grow by.
    left: usize,
    is_over: bool,
}

impl<B: Backend> Slot<B> {
    /// The request at its start.
    pub(super) fn new(
        model: &GptModel<B>,
        id: RequestId,
        Request { prompt, options }: Request,
        events: &mut Vec<Event>,
    ) -> Self {
        let mut sampler = TokenSampler::new(options.sampling.clone(), options.seed);
        sampler.observe_prompt(&prompt);
        let vocab_size = model.config().vocab_size;
        let mut slot = Self {
            id,
            sampler,
            steering: SteeredSequence::new(&options.steering, &model.device()),
            steering_of_prompt: options.steering.of_prompt(),
            prompt_len: prompt.len(),
            form: options.constraint.as_ref().map(|constraint| constraint.start()),
            vocab_size: options.vocab_size.map_or(vocab_size, |allowed| allowed.clamp(1, vocab_size)),
            context_length: model.config().context_length,
            in_chunks: prompt.len(),
            tokens: prompt,
            passed: 0,
            cache: options.kv_cache.then(|| KvCache::new(model.config(), 1, &model.device())),
            prompt_logits: None,
            cached: 0,
            prompt_logprobs: Vec::new(),
            left: options.max_tokens,
            is_over: false,
            options,
        };
        if slot.left == 0 && slot.options.prompt_logprobs.is_none() {
            slot.end(FinishReason::Length, None, events);
        } else if slot.tokens.len() > slot.context_length {
            slot.shorten(events);
        }
        slot
    }

    /// Whether nothing more happens to it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Positions that are in its cache.
    fn read(&self) -> usize {
        self.cache.as_ref().map_or(0, KvCache::len)
    }

    /// Whether there is more to read than the token that was chosen last.
    pub(super) fn is_reading(&self) -> bool {
        !self.is_over && self.read() < self.in_chunks
    }

    /// Whether the token that was chosen last is all that is to be read.
    pub(super) fn is_writing(&self) -> bool {
        !self.is_over && !self.is_reading()
    }

    /// The prompt and what is done to it, if another text may have read parts of it for this one.
    pub(super) fn can_take(&self) -> Option<(&[u32], &Steering)> {
        let fresh = self.read() == 0 && self.passed == 0 && self.prompt_logits.is_none();
        (fresh && self.cache.is_some() && self.options.prompt_logprobs.is_none())
            .then_some((&self.tokens[..], &self.steering_of_prompt))
    }

    /// What it has read of its prompt, for others; `None` when that is not in its cache any more.
    pub(super) fn as_prefix(&self) -> Option<Prefix<'_, B>> {
        let cache = self.cache.as_ref().filter(|_| self.passed == 0)?;
        let tokens = &self.tokens[..cache.len().min(self.in_chunks)];
        Some(Prefix {
            tokens,
            steering: &self.steering_of_prompt,
            cache,
            logits: self.prompt_logits.as_ref(),
        })
    }

    /// The prompt with its keys, values and logits, of a text that is over.
    pub(super) fn into_prompt(self) -> Option<ReadPrompt<B>> {
        let (cache, logits, steering) = (self.cache?, self.prompt_logits?, self.steering_of_prompt);
        let mut tokens = self.tokens;
        tokens.truncate(self.in_chunks);
        (self.passed == 0 && cache.len() >= tokens.len()).then_some(ReadPrompt {
            tokens,
            steering,
            cache,
            logits,
        })
    }

    /// Its steering in a pass that starts at this one of the tokens that the model sees.
    pub(super) fn steering_from(&self, start: usize) -> SteeredSequence<B> {
        self.steering.generated_from(self.prompt_len.saturating_sub(self.passed + start))
    }

    /// The tap of a pass of its own.
    fn tap(&self, start: usize) -> SteeringTap<B> {
        SteeringTap::of_each(vec![self.steering_from(start)])
    }

    /// The token that was chosen last, with the cache that is to take it; [`go_on`](Self::go_on) brings it back.
    pub(super) fn last(&mut self) -> (u32, KvCache<B>, SteeredSequence<B>) {
        let last = self.tokens.len() - 1;
        let cache = self.cache.take().expect("a text that is written has a cache");
        (self.tokens[last], cache, self.steering_from(last))
    }

    /// Goes on with the logits after the token that was chosen last.
    pub(super) fn go_on(&mut self, cache: KvCache<B>, logits: &[f32], events: &mut Vec<Event>) {
        self.cache = Some(cache);
        self.choose(logits, events);
    }

    /// Starts from what another text has read: the first `len` tokens, and the logits after them where that is the whole
    /// prompt.
    pub(super) fn take(
        &mut self,
        mut cache: KvCache<B>,
        len: usize,
        logits: Option<Arc<[f32]>>,
        events: &mut Vec<Event>,
    ) {
        cache.truncate(len);
        self.cache = Some(cache);
        self.make_room();
        self.cached = len;
        if let Some(logits) = logits {
            self.has_read(logits.to_vec(), events);
        }
    }

    /// Gives the cache the room that the text is likely to need.
    fn make_room(&mut self) {
        let positions = self.tokens.len() + self.left.min(ROOM);
        if let Some(cache) = &mut self.cache {
            cache.reserve(positions);
        }
    }

    /// Reads the next chunk of the prompt, or more where it `is_alone`.
    pub(super) fn read_chunk(&mut self, model: &GptModel<B>, is_alone: bool, events: &mut Vec<Event>) {
        self.make_room();
        let logits = match self.cache.is_some() {
            true => self.chunk(model, is_alone),
            false => {
                // Without a cache, the whole text is read each time.
                let stream = model.stream(upload(model, &self.tokens), None, &mut self.tap(0));
                Ok(Some(self.last_logits(model, stream)))
            }
        };
        match logits {
            Ok(Some(logits)) => self.has_read(logits, events),
            Ok(None) => {}
            Err(error) => self.fail(error, events),
        }
    }

    /// The logits after the prompt, if this chunk is its last.
    fn chunk(&mut self, model: &GptModel<B>, is_alone: bool) -> Result<Option<Vec<f32>>> {
        let start = self.read();
        let whole = (self.in_chunks - start) / CHUNK * CHUNK;
        let most = if is_alone && self.options.prompt_logprobs.is_none() { ALONE } else { CHUNK };
        let end = start + if whole > 0 { whole.min(most) } else { self.in_chunks - start };
        let mut tap = self.tap(start);
        let cache = self.cache.as_mut();
        let stream = model.stream(upload(model, &self.tokens[start..end]), cache, &mut tap); // [1, chunk, d_model]
        if let Some(top) =
            self.options.prompt_logprobs.filter(|_| self.passed == 0 && self.prompt_logits.is_none())
        {
            let logits = to_vec(model.logits(stream.clone(), &mut NoTap));
            let vocab = model.config().vocab_size;
            check_finite(&logits, vocab, start)?;
            let next = self.tokens[..self.in_chunks].iter().skip(start + 1);
            let logprobs =
                logits.chunks(vocab).zip(next).map(|(row, token)| TokenLogprob::of(row, *token, top));
            self.prompt_logprobs.extend(logprobs);
        }
        Ok((end == self.in_chunks).then(|| self.last_logits(model, stream)))
    }

    /// Logits after the last position of a stream, `[1, seq, d_model]`: of that one alone, so that they are the same numbers
    /// however many there are.
    fn last_logits(&self, model: &GptModel<B>, stream: Tensor<B, 3>) -> Vec<f32> {
        let [_, seq, _] = stream.dims();
        to_vec(model.logits(stream.narrow(1, seq - 1, 1), &mut NoTap))
    }

    /// Goes on after everything was read that is read in chunks.
    fn has_read(&mut self, logits: Vec<f32>, events: &mut Vec<Event>) {
        if self.prompt_logits.is_none() {
            let logprobs = std::mem::take(&mut self.prompt_logprobs);
            events.push(Event::Read { id: self.id, cached: self.cached, logprobs });
            self.prompt_logits = Some(logits.as_slice().into());
        }
        self.choose(&logits, events);
    }

    /// Chooses the next token from its logits, unless that ends the text.
    fn choose(&mut self, logits: &[f32], events: &mut Vec<Event>) {
        let id = self.id;
        if let Err(error) = check_finite(logits, logits.len(), self.passed + self.tokens.len() - 1) {
            return self.fail(error, events);
        }
        if self.left == 0 {
            return self.end(FinishReason::Length, None, events);
        }
        let token = match self.sample(&logits[..self.vocab_size]) {
            Ok(token) => token,
            Err(error) => return self.fail(error, events),
        };
        let logprob = self.options.logprobs.map(|top| TokenLogprob::of(logits, token, top));
        if self.options.stop.contains(&token) {
            return self.end(FinishReason::Stop, Some((token, logprob)), events);
        }
        events.push(Event::Token { id, token, logprob });
        self.sampler.observe(token);
        if let Some(form) = &mut self.form {
            if let Err(error) = form.observe(token) {
                return self.fail(error, events);
            }
            if form.is_over() {
                return self.end(FinishReason::Stop, None, events);
            }
        }
        self.tokens.push(token);
        self.left -= 1;
        match self.options.when_full {
            _ if self.left == 0 => self.end(FinishReason::Length, None, events),
            WhenFull::End if self.tokens.len() >= self.context_length => {
                self.end(FinishReason::Length, None, events)
            }
            WhenFull::Shorten if self.tokens.len() > self.context_length => self.shorten(events),
            _ => {}
        }
    }

    /// The next token, among those that the form of the text allows.
    fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        let Some(form) = &mut self.form else { return Ok(self.sampler.next(logits)) };
        let mut allowed = logits.to_vec();
        form.mask(&mut allowed)?;
        Ok(self.sampler.next(&allowed))
    }

    /// Keeps the newest half of the context. Half at a time: the cache must be built again, and doing so for every token would
    /// make it useless.
    fn shorten(&mut self, events: &mut Vec<Event>) {
        let dropped = self.tokens.len() - self.context_length.div_ceil(2);
        self.tokens.drain(..dropped);
        self.passed += dropped;
        self.in_chunks = self.tokens.len();
        if let Some(cache) = &mut self.cache {
            cache.truncate(0);
        }
        events.push(Event::Shortened { id: self.id, dropped });
    }

    fn end(
        &mut self,
        reason: FinishReason,
        stop: Option<(u32, Option<TokenLogprob>)>,
        events: &mut Vec<Event>,
    ) {
        self.is_over = true;
        events.push(Event::Ended { id: self.id, reason, stop });
    }

    fn fail(&mut self, error: crate::Error, events: &mut Vec<Event>) {
        self.is_over = true;
        events.push(Event::Failed { id: self.id, error });
    }
}
