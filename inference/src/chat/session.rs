//! A conversation that goes on.

use std::path::Path;

use kiln_datasets::examples::{ExampleEncoder, Message, Role, Template};
use kiln_model::Backend;

use super::reply::{Reply, Started};
use super::template::{conversation, turn_end};
use super::{ChatHistory, ChatSettings, Turn, saved};
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, Result};
use crate::request::{GenerateOptions, Request, WhenFull};
use crate::steer::Steering;
use crate::text_model::TextModel;

/// Most tokens of the context that are kept free for a reply.
const MOST_RESERVED: usize = 256;

/// A conversation with a model.
///
/// When the context has no room for all of it, the model no longer sees the oldest turns; it always sees the system text and the
/// last message.
pub struct ChatSession<'a, B: Backend> {
    pub(super) model: &'a TextModel<B>,
    pub(super) engine: Engine<'a, B>,
    encoder: ExampleEncoder,
    /// The token that ends an answer in the template, where it is a special one.
    turn_end: Option<u32>,
    pub(super) history: ChatHistory,
    pub(super) settings: ChatSettings,
    steering: Steering,
    /// Turns at the beginning that the model no longer sees.
    forgotten: usize,
    /// Replies that were begun.
    begun: u64,
}

impl<'a, B: Backend> ChatSession<'a, B> {
    /// A conversation in which nothing was said.
    ///
    /// # Errors
    ///
    /// [`Error::Sampling`] for settings that are out of range; [`Error::Data`] from a tokenizer that is damaged.
    pub fn new(model: &'a TextModel<B>, template: Template, settings: ChatSettings) -> Result<Self> {
        settings.validate()?;
        let (tokenizer, context_length) = (model.tokenizer(), model.model().config().context_length);
        let encoder = ExampleEncoder::new(tokenizer, template, context_length, false)?;
        Ok(Self {
            model,
            engine: Engine::new(model.model(), EngineOptions::new(1).keeping(context_length)),
            turn_end: turn_end(&encoder, tokenizer),
            encoder,
            history: ChatHistory::default(),
            steering: Steering::default(),
            settings,
            forgotten: 0,
            begun: 0,
        })
    }

    /// Says something, and gives the reply, which is computed as it is asked for.
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLong`] if the context has no room for it; [`Error::Data`] if the template refuses it or the tokenizer
    /// cannot encode it. Then it was not said.
    pub fn say(&mut self, text: &str) -> Result<Reply<'_, 'a, B>> {
        let started = self.start(text)?;
        Ok(Reply::new(self, started))
    }

    /// Asks the last question again, in place of its answer; `None` if nothing was asked.
    ///
    /// # Errors
    ///
    /// Those of [`say`](Self::say). Then nothing has changed.
    pub fn retry(&mut self) -> Result<Option<Reply<'_, 'a, B>>> {
        let Some(last) = self.history.turns.pop() else { return Ok(None) };
        match self.start(&last.user) {
            Ok(started) => Ok(Some(Reply::new(self, started))),
            Err(error) => {
                self.history.turns.push(last);
                Err(error)
            }
        }
    }

    /// Takes back the last question and its answer, which are returned.
    pub fn undo(&mut self) -> Option<Turn> {
        self.forgotten = 0;
        self.history.turns.pop()
    }

    /// Forgets all turns; the system text stays.
    pub fn clear(&mut self) {
        self.history.turns.clear();
        self.forgotten = 0;
    }

    /// Says how the model is to behave from now on; `None`: as it was trained.
    pub fn set_system(&mut self, system: Option<String>) {
        self.history.system = system;
        self.forgotten = 0;
    }

    /// Changes how replies are made.
    ///
    /// # Errors
    ///
    /// [`Error::Sampling`] for a value that is out of range. Then nothing has changed.
    pub fn set_settings(&mut self, settings: ChatSettings) -> Result<()> {
        settings.validate()?;
        if settings.seed != self.settings.seed {
            self.begun = 0;
        }
        self.settings = settings;
        Ok(())
    }

    /// Steers the model in all further replies.
    pub fn set_steering(&mut self, steering: Steering) {
        self.steering = steering;
    }

    /// What was said so far.
    pub fn history(&self) -> &ChatHistory {
        &self.history
    }

    /// How replies are made.
    pub fn settings(&self) -> &ChatSettings {
        &self.settings
    }

    /// Tokens that the model can see.
    pub fn context_length(&self) -> usize {
        self.model.model().config().context_length
    }

    /// Writes conversation and settings to a JSON file.
    ///
    /// # Errors
    ///
    /// [`Error::Conversation`] if there is a file that holds something else, which stays as it is; [`Error::Model`] if it cannot
    /// be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        saved::write(path, &self.history, &self.settings)
    }

    /// Goes on with the conversation of a file, and with its settings where it has them.
    ///
    /// # Errors
    ///
    /// [`Error::Conversation`] or [`Error::Model`] for a file that holds none or cannot be read. Then nothing has changed.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        let (history, settings) = saved::read(path)?;
        self.history = history;
        self.settings = settings.unwrap_or_else(|| self.settings.clone());
        (self.forgotten, self.begun) = (0, 0);
        Ok(())
    }

    /// Hands a question to the engine and adds it to the history.
    fn start(&mut self, text: &str) -> Result<Started> {
        let (prompt, forgotten) = self.prompt(text)?;
        let prompt_tokens = prompt.len();
        let options = GenerateOptions {
            max_tokens: self.settings.max_tokens.unwrap_or(usize::MAX),
            stop: self.turn_end.into_iter().collect(),
            when_full: WhenFull::End,
            steering: self.steering.clone(),
            sampling: self.settings.sampling.clone(),
            seed: self.settings.seed.wrapping_add(self.begun),
            ..GenerateOptions::default()
        };
        let id = self.engine.admit(self.model.request(Request { prompt, options }))?;
        self.begun += 1;
        self.forgotten = forgotten;
        self.history.turns.push(Turn { user: text.to_owned(), assistant: String::new() });
        Ok(Started { id, prompt_tokens, forgotten })
    }

    /// The tokens of the conversation with a question behind it, and how many turns there was no room for.
    fn prompt(&self, text: &str) -> Result<(Vec<u32>, usize)> {
        let context_length = self.context_length();
        let room = context_length - MOST_RESERVED.min(context_length / 4);
        let mut forgotten = self.forgotten;
        loop {
            let asked = [Message::new(Role::User, text)];
            let messages = self.history.messages(forgotten).chain(asked);
            let tokens = self.encoder.prompt(&conversation(messages.collect()))?;
            match tokens.len() {
                fitting if fitting <= room => return Ok((tokens, forgotten)),
                tokens if forgotten == self.history.turns.len() => {
                    return Err(Error::MessageTooLong { tokens, room, context_length });
                }
                _ => forgotten += 1,
            }
        }
    }
}
