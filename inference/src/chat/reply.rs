//! One answer on its way.

use kiln_model::Backend;

use super::ChatSession;
use crate::engine::{Event, RequestId};
use crate::error::Result;
use crate::generate::FinishReason;
use crate::stop::StopStrings;
use crate::text_stream::TextStream;

/// A reply that was begun.
pub(super) struct Started {
    pub(super) id: RequestId,
    pub(super) prompt_tokens: usize,
    pub(super) forgotten: usize,
}

/// The pieces of a reply, in whole characters; made by [`ChatSession::say`].
///
/// A piece may be empty, where a part of the conversation was read or a character is not whole yet. The history has what came
/// so far: a reply that is dropped before its end stays as it is then.
pub struct Reply<'s, 'a, B: Backend> {
    session: &'s mut ChatSession<'a, B>,
    stream: TextStream<'a>,
    started: Started,
    cached: usize,
    tokens: usize,
    finish_reason: Option<FinishReason>,
}

impl<'s, 'a, B: Backend> Reply<'s, 'a, B> {
    pub(super) fn new(session: &'s mut ChatSession<'a, B>, started: Started) -> Self {
        let stop = StopStrings::new(session.settings.stop.iter().cloned());
        let stream = TextStream::new(session.model.tokenizer(), stop);
        Self { session, stream, started, cached: 0, tokens: 0, finish_reason: None }
    }

    /// Turns at the beginning of the conversation that the context has no room for.
    pub fn forgotten(&self) -> usize {
        self.started.forgotten
    }

    /// Tokens of the conversation up to this reply.
    pub fn prompt_tokens(&self) -> usize {
        self.started.prompt_tokens
    }

    /// How many of those the engine had read before.
    pub fn cached(&self) -> usize {
        self.cached
    }

    /// Tokens of the reply so far.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens that the model can see.
    pub fn context_length(&self) -> usize {
        self.session.context_length()
    }

    /// Why the reply is over; `None` while it is not.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish_reason
    }

    /// What an event adds to the text.
    fn take(&mut self, event: Event) -> Result<String> {
        match event {
            Event::Read { cached, .. } => self.cached = cached,
            Event::Token { token, .. } => {
                self.tokens += 1;
                return Ok(self.stream.push(token));
            }
            Event::Ended { reason, .. } => {
                // A string that ended the text came first.
                self.finish_reason = Some(if self.stream.is_over() { FinishReason::Stop } else { reason });
                return Ok(self.stream.finish());
            }
            Event::Failed { error, .. } => {
                self.finish_reason = Some(FinishReason::Stop);
                self.session.history.turns.pop();
                return Err(error);
            }
            Event::Shortened { .. } => {}
        }
        Ok(String::new())
    }
}

impl<B: Backend> Iterator for Reply<'_, '_, B> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Result<String>> {
        if self.finish_reason.is_some() {
            return None;
        }
        let mut piece = String::new();
        for event in self.session.engine.step() {
            match self.take(event) {
                Ok(more) => piece.push_str(&more),
                Err(error) => return Some(Err(error)),
            }
        }
        if self.stream.is_over() {
            self.session.engine.cancel(self.started.id);
            self.finish_reason = Some(FinishReason::Stop);
        }
        if let Some(turn) = self.session.history.turns.last_mut() {
            turn.assistant.push_str(&piece);
        }
        Some(Ok(piece))
    }
}

impl<B: Backend> Drop for Reply<'_, '_, B> {
    fn drop(&mut self) {
        self.session.engine.cancel(self.started.id);
    }
}
