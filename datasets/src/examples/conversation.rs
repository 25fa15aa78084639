//! Conversations: who says what, in turn.

use serde_json::{Map, Value};

use super::Provenance;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Whoever says how the model is to behave.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
    /// A program that the model has called.
    Tool,
}

impl Role {
    /// Its name in a template.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// The role of that name, in OpenAI's words or in ShareGPT's.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "system" | "developer" => Some(Self::System),
            "user" | "human" => Some(Self::User),
            "assistant" | "gpt" | "function_call" => Some(Self::Assistant),
            "tool" | "function" | "observation" => Some(Self::Tool),
            _ => None,
        }
    }
}

/// What one of them says.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What it says.
    pub content: String,
    /// What an instruction is about, where the data keeps it apart.
    pub input: Option<String>,
    /// Of the model's own: whether it is to be learned. Data says so with `"weight": 1`.
    pub trained: bool,
    /// Further keys, such as `tool_calls`, for templates that know them.
    pub fields: Map<String, Value>,
}

impl Message {
    /// A message without anything but a text.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        let trained = role == Role::Assistant;
        Self { role, content: content.into(), input: None, trained, fields: Map::new() }
    }

    /// Its text: the content, and on a line below what the instruction is about.
    pub fn text(&self) -> String {
        match &self.input {
            Some(input) => format!("{}\n{input}", self.content),
            None => self.content.clone(),
        }
    }

    /// Whether it is an answer that is to be learned.
    pub fn is_learned(&self) -> bool {
        self.role == Role::Assistant && self.trained
    }
}

/// A conversation to learn from, or to continue.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Turn by turn.
    pub messages: Vec<Message>,
    /// Programs that the model may call, as JSON schemas.
    pub tools: Vec<Value>,
    /// Where it stands.
    pub provenance: Provenance,
}

impl Conversation {
    /// All that is said, as one text: what two conversations have in common if they are the same.
    pub fn text(&self) -> String {
        said(&self.messages)
    }

    /// What is asked: the turns before the first answer that is learned, as one text, or all that is said where nobody asks.
    /// What was answered must not be asked again to see whether it can be answered, so such conversations stay together.
    pub fn group(&self) -> String {
        let first = self.messages.iter().position(Message::is_learned).unwrap_or(self.messages.len());
        asked(&self.messages[..first]).unwrap_or_else(|| self.text())
    }
}

/// What these messages say, one below the other.
pub(super) fn said<'a>(messages: impl IntoIterator<Item = &'a Message>) -> String {
    messages.into_iter().map(Message::text).collect::<Vec<_>>().join("\n")
}

/// The same, if one of them asks.
pub(super) fn asked(messages: &[Message]) -> Option<String> {
    let asks = |message: &Message| message.role == Role::User && !message.text().trim().is_empty();
    messages.iter().any(asks).then(|| said(messages))
}
