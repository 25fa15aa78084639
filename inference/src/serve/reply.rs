//! What a client reads of its texts: whole, or piece by piece.

use serde_json::{Value, json};

use super::choice::Entry;
use super::fresh;
use super::generation::{Usage, Whole};
use super::logprobs;
use crate::generate::FinishReason;
use kiln_datasets::Tokenizer;

/// Both kinds of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
}

/// The frame of an answer, alike in all pieces of it.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    kind: Kind,
    id: String,
    created: u64,
    model: String,
    /// How the model was steered, where that was asked for.
    steering: Option<Value>,
}

impl Reply {
    /// An answer of `model` that starts now.
    pub(super) fn new(kind: Kind, model: &str, steering: Option<Value>) -> Self {
        let prefix = if kind == Kind::Chat { "chatcmpl" } else { "cmpl" };
        let id = format!("{prefix}-{:016x}", fresh::number());
        Self { kind, id, created: fresh::now(), model: model.to_owned(), steering }
    }

    /// All texts at once.
    pub(super) fn whole(&self, texts: &[Whole], usage: Usage, tokenizer: &Tokenizer) -> Value {
        let choices = texts.iter().enumerate().map(|(index, text)| {
            let logprobs = self.logprobs(&text.entries, tokenizer);
            let mut choice = json!({ "index": index });
            match self.kind {
                Kind::Chat => choice["message"] = json!({ "role": "assistant", "content": text.text }),
                Kind::Completion => choice["text"] = json!(text.text),
            }
            choice["logprobs"] = logprobs;
            choice["finish_reason"] = json!(text.end);
            choice
        });
        let object = if self.kind == Kind::Chat { "chat.completion" } else { "text_completion" };
        let mut reply = self.framed(object, choices.collect());
        reply["usage"] = counts(usage);
        reply
    }

    /// The piece before any text, where there is one.
    pub(super) fn start(&self, index: usize) -> Option<Value> {
        let delta = json!({ "role": "assistant", "content": "" });
        (self.kind == Kind::Chat).then(|| {
            self.piece(json!({ "index": index, "delta": delta, "logprobs": null, "finish_reason": null }))
        })
    }

    /// A piece of a text; `None` if there is nothing in it.
    pub(super) fn delta(
        &self,
        index: usize,
        text: &str,
        entries: &[Entry],
        tokenizer: &Tokenizer,
    ) -> Option<Value> {
        let entries: Vec<Entry> = match self.kind {
            Kind::Chat => entries.iter().filter(|entry| !entry.is_end).cloned().collect(),
            Kind::Completion => entries.to_vec(),
        };
        if text.is_empty() && entries.is_empty() {
            return None;
        }
        let mut choice = json!({ "index": index });
        match self.kind {
            Kind::Chat => choice["delta"] = json!({ "content": text }),
            Kind::Completion => choice["text"] = json!(text),
        }
        choice["logprobs"] = self.logprobs(&entries, tokenizer);
        choice["finish_reason"] = Value::Null;
        Some(self.piece(choice))
    }

    /// The last piece of a text.
    pub(super) fn end(&self, index: usize, reason: FinishReason) -> Value {
        let mut choice = json!({ "index": index });
        match self.kind {
            Kind::Chat => choice["delta"] = json!({}),
            Kind::Completion => choice["text"] = json!(""),
        }
        choice["logprobs"] = Value::Null;
        choice["finish_reason"] = json!(reason);
        self.piece(choice)
    }

    /// The piece behind all texts: how many tokens they took.
    pub(super) fn usage(&self, usage: Usage) -> Value {
        let mut piece = self.framed(self.object_of_piece(), json!([]));
        piece["usage"] = counts(usage);
        piece
    }

    fn piece(&self, choice: Value) -> Value {
        self.framed(self.object_of_piece(), json!([choice]))
    }

    fn object_of_piece(&self) -> &'static str {
        if self.kind == Kind::Chat { "chat.completion.chunk" } else { "text_completion" }
    }

    fn framed(&self, object: &str, choices: Value) -> Value {
        let mut frame = json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": concat!("kiln-", env!("CARGO_PKG_VERSION")),
            "choices": choices,
        });
        if let Some(steering) = &self.steering {
            frame["steering"] = steering.clone();
        }
        frame
    }

    fn logprobs(&self, entries: &[Entry], tokenizer: &Tokenizer) -> Value {
        match self.kind {
            _ if entries.is_empty() => Value::Null,
            Kind::Chat => logprobs::of_chat(entries, tokenizer),
            Kind::Completion => logprobs::of_completion(entries, tokenizer),
        }
    }
}

fn counts(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": { "cached_tokens": usage.cached },
    })
}
