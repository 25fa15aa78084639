//! The thread that owns the model: it steps an engine for whatever texts are asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use kiln_model::{Backend, GptModel};
use tokio::sync::mpsc::UnboundedSender;

use super::metrics::Metrics;
use crate::engine::{Engine, EngineOptions, Event, RequestId};
use crate::error::Result;
use crate::request::Request;

/// What happened to a text of a request.
pub(super) type Told = (usize, Result<Event>);

/// A text that is asked for.
#[derive(Debug)]
pub(super) struct Text {
    /// Which one of its request it is.
    pub index: usize,
    /// What to generate.
    pub request: Request,
    /// Where to tell of it.
    pub sender: UnboundedSender<Told>,
    /// Whether nobody wants it any more.
    pub cancelled: Arc<AtomicBool>,
    /// When it was asked for.
    pub arrived: Instant,
}

impl Text {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Tells of it; if nobody listens, it is cancelled as well.
    fn tell(&self, told: Result<Event>) {
        let _ = self.sender.send((self.index, told));
    }
}

/// A text that has a slot, and when its last token came.
struct Running {
    text: Text,
    prompt_tokens: usize,
    last_token: Option<Instant>,
}

struct Worker<'a, B: Backend> {
    engine: Engine<'a, B>,
    slots: usize,
    queue: VecDeque<Text>,
    running: HashMap<RequestId, Running>,
    metrics: &'a Metrics,
}

/// Generates the texts that arrive, until no more can arrive.
pub(super) fn run<B: Backend>(
    model: &GptModel<B>,
    options: EngineOptions,
    arriving: &Receiver<Vec<Text>>,
    metrics: &Metrics,
) {
    let (engine, slots) = (Engine::new(model, options), options.slots.max(1));
    let mut worker = Worker { engine, slots, queue: VecDeque::new(), running: HashMap::new(), metrics };
    loop {
        if worker.is_idle() {
            match arriving.recv() {
                Ok(texts) => worker.queue.extend(texts),
                Err(_) => return,
            }
        }
        worker.queue.extend(arriving.try_iter().flatten());
        worker.drop_cancelled();
        worker.fill();
        for event in worker.engine.step() {
            worker.tell(event);
        }
        worker.metrics.set_running(worker.running.len());
    }
}

impl<B: Backend> Worker<'_, B> {
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.running.is_empty()
    }

    /// Ends what nobody wants any more, whether it runs or waits.
    fn drop_cancelled(&mut self) {
        let waiting = self.queue.len();
        self.queue.retain(|text| !text.is_cancelled());
        let mut dropped = waiting - self.queue.len();
        let (engine, running) = (&mut self.engine, &mut self.running);
        running.retain(|id, running| {
            let keeps = !running.text.is_cancelled();
            if !keeps {
                engine.cancel(*id);
                dropped += 1;
            }
            keeps
        });
        self.metrics.left(dropped);
        self.metrics.set_running(self.running.len());
    }

    /// Gives free slots to those that wait.
    fn fill(&mut self) {
        while self.running.len() < self.slots {
            let Some(mut text) = self.queue.pop_front() else { return };
            self.metrics.waited(text.arrived.elapsed());
            let prompt_tokens = text.request.prompt.len();
            match self.engine.admit(std::mem::take(&mut text.request)) {
                Ok(id) => {
                    self.running.insert(id, Running { text, prompt_tokens, last_token: None });
                }
                Err(error) => {
                    text.tell(Err(error));
                    self.metrics.left(1);
                }
            }
        }
    }

    fn tell(&mut self, event: Event) {
        let id = event.id();
        let Some(running) = self.running.get_mut(&id) else { return };
        match &event {
            Event::Read { cached, .. } => self.metrics.read(running.prompt_tokens, *cached),
            Event::Token { .. } => {
                let now = Instant::now();
                match running.last_token.replace(now) {
                    None => self.metrics.first_token(now - running.text.arrived),
                    Some(before) => self.metrics.next_token(now - before),
                }
            }
            _ => {}
        }
        let is_over = matches!(event, Event::Ended { .. } | Event::Failed { .. });
        running.text.tell(match event {
            Event::Failed { error, .. } => Err(error),
            event => Ok(event),
        });
        if is_over {
            self.running.remove(&id);
            self.metrics.left(1);
        }
    }
}
