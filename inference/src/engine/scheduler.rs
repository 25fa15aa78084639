//! Who runs next.

use std::collections::VecDeque;

use kiln_model::{Backend, GptModel, KvCache, token_tensor};

use super::ROWS;
use super::event::{Event, RequestId};
use super::options::EngineOptions;
use super::prefixes::Prefixes;
use super::slot::Slot;
use crate::error::{Error, Result};
use crate::request::{Request, WhenFull};
use crate::steer::SteeringTap;
use crate::tokens::{check_tokens, to_vec};

/// Generates several texts side by side, each as it would alone. Nothing happens between calls of [`step`](Self::step).
///
/// ```
/// use burn_ndarray::NdArray;
/// use kiln_inference::{Engine, EngineOptions, Event, Request};
///
/// # let config = kiln_model::GptConfig { vocab_size: 29, context_length: 32, ..kiln_model::GptConfig::new(1, 2, 8) };
/// # let model = config.init::<NdArray>(1337, &Default::default())?;
/// let mut engine = Engine::new(&model, EngineOptions::new(2));
/// for prompt in [vec![1, 2, 3], vec![4], vec![5, 6]] {
///     engine.admit(Request { prompt, ..Request::default() })?;
/// }
/// let mut tokens = 0;
/// while !engine.is_idle() {
///     tokens += engine.step().iter().filter(|event| matches!(event, Event::Token { .. })).count();
/// }
/// assert_eq!(tokens, 3 * 200);
/// # Ok::<(), kiln_inference::Error>(())
/// ```
#[derive(Debug)]
pub struct Engine<'a, B: Backend> {
    model: &'a GptModel<B>,
    options: EngineOptions,
    waiting: VecDeque<(RequestId, Request)>,
    /// Those that run, in the order of their admission.
    slots: Vec<Slot<B>>,
    prefixes: Prefixes<B>,
    next_id: u64,
}

impl<'a, B: Backend> Engine<'a, B> {
    /// An engine with nothing to do.
    pub fn new(model: &'a GptModel<B>, options: EngineOptions) -> Self {
        let prefixes = Prefixes::new(options.kept_positions);
        Self { model, options, waiting: VecDeque::new(), slots: Vec::new(), prefixes, next_id: 0 }
    }

    /// Takes a request, which waits for a free slot.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPrompt`] or [`Error::UnknownToken`] for a prompt that the model cannot read, or a bias for a token that it
    /// does not have; [`Error::TooLong`] for a prompt that must not be shortened, or [`Error::Sampling`].
    pub fn admit(&mut self, request: Request) -> Result<RequestId> {
        check(self.model, &request)?;
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.waiting.push_back((id, request));
        Ok(id)
    }

    /// Ends a request at once, and without an event; `false` if it is over already.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        let waiting = self.waiting.len();
        self.waiting.retain(|(waiting, _)| *waiting != id);
        if let Some(at) = self.slots.iter().position(|slot| slot.id == id) {
            self.retire(at);
            return true;
        }
        self.waiting.len() < waiting
    }

    /// Requests that have a slot.
    pub fn running(&self) -> usize {
        self.slots.len()
    }

    /// Requests that wait for one.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.waiting.is_empty()
    }

    /// Adds a token to every text whose prompt was read, then reads one chunk of the prompt that has waited longest. What
    /// happened to each request comes in order.
    pub fn step(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.write(&mut events);
        self.retire_all();
        self.fill(&mut events);
        self.read(&mut events);
        self.retire_all();
        events
    }

    /// Gives free slots to those that wait.
    fn fill(&mut self, events: &mut Vec<Event>) {
        while self.slots.len() < self.options.slots.max(1) {
            let Some((id, request)) = self.waiting.pop_front() else { return };
            let slot = Slot::new(self.model, id, request, events);
            if !slot.is_over() {
                self.slots.push(slot);
            }
        }
    }

    /// A token for each text that is being written.
    fn write(&mut self, events: &mut Vec<Event>) {
        let model = self.model;
        let mut writing: Vec<&mut Slot<B>> = self.slots.iter_mut().filter(|slot| slot.is_writing()).collect();
        for group in writing.chunks_mut(ROWS) {
            let (mut tokens, mut caches, mut steering) = (Vec::new(), Vec::new(), Vec::new());
            for (token, cache, steered) in group.iter_mut().map(|slot| slot.last()) {
                tokens.push(token);
                caches.push(cache);
                steering.push(steered);
            }
            let (mut cache, mut tap) = (KvCache::stack(caches), SteeringTap::of_each(steering));
            let tokens = token_tensor(tokens, [group.len(), 1], &model.device());
            let logits = to_vec(model.forward_tapped(tokens, Some(&mut cache), &mut tap)); // [group, 1, vocab]
            let rows = logits.chunks(model.config().vocab_size);
            for ((slot, cache), row) in group.iter_mut().zip(cache.unstack()).zip(rows) {
                slot.go_on(cache, row, events);
            }
        }
    }

    /// A chunk of the prompt that has waited longest.
    fn read(&mut self, events: &mut Vec<Event>) {
        let Some(at) = self.slots.iter().position(Slot::is_reading) else { return };
        let is_alone = self.slots.len() == 1;
        self.share(at, events);
        let slot = &mut self.slots[at];
        if slot.is_reading() {
            slot.read_chunk(self.model, is_alone, events);
        }
    }

    /// Gives a text what others have read of its prompt, before it reads any of it.
    fn share(&mut self, at: usize, events: &mut Vec<Event>) {
        let Some((prompt, steering)) = self.slots[at].can_take() else { return };
        let others = self.slots.iter().enumerate().filter(|(other, _)| *other != at);
        let prefixes = others.filter_map(|(_, slot)| slot.as_prefix());
        let best = prefixes
            .map(|prefix| (prefix.serves(prompt, steering), prefix))
            .max_by_key(|(serves, _)| *serves);
        let best = best.filter(|(serves, _)| *serves > 0);
        let running = best.as_ref().map_or(0, |(serves, _)| *serves);
        let Some((len, prefix)) = (match self.prefixes.find(prompt, steering, running) {
            Some(kept) => Some((kept.serves(prompt, steering), kept)),
            None => best,
        }) else {
            return;
        };
        let logits = prefix.logits.filter(|_| len == prompt.len()).cloned();
        let cache = prefix.cache.clone();
        self.slots[at].take(cache, len, logits, events);
    }

    /// Frees the slots of texts that are over.
    fn retire_all(&mut self) {
        while let Some(at) = self.slots.iter().position(Slot::is_over) {
            self.retire(at);
        }
    }

    fn retire(&mut self, at: usize) {
        if let Some(prompt) = self.slots.remove(at).into_prompt() {
            self.prefixes.keep(prompt);
        }
    }
}

/// Refuses a request that cannot be met.
fn check<B: Backend>(model: &GptModel<B>, Request { prompt, options }: &Request) -> Result<()> {
    options.sampling.validate()?;
    check_tokens(model, prompt)?;
    let biased: Vec<u32> = options.sampling.logit_bias.iter().map(|(token, _)| *token).collect();
    check_tokens(model, &biased)?;
    let context_length = model.config().context_length;
    let whole = options.when_full == WhenFull::End || options.prompt_logprobs.is_some();
    match prompt.len() {
        0 => Err(Error::EmptyPrompt),
        tokens if whole && tokens > context_length => Err(Error::TooLong { tokens, context_length }),
        _ => Ok(()),
    }
}
