//! Conversations of a file, in any of the forms.

use serde_json::{Map, Value};

use super::fields::{Fields, list, messages, optional_text, text, wrong};
use super::records::read_examples;
use super::{Conversation, Flaw, Form, Message, Role};
use crate::error::Result;
use crate::source::{ReadOptions, Source};

/// The conversations of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversations {
    /// The form that all of them have.
    pub form: Form,
    /// In the order of the file.
    pub conversations: Vec<Conversation>,
}

impl Conversations {
    /// Reads all conversations, whatever their form.
    ///
    /// # Errors
    ///
    /// What is wrong with a file; [`Error::Example`](crate::Error::Example) for keys that make no form, for two forms in
    /// one source, for a value that is not what its form has there, for an empty answer, and for preferences.
    pub fn read(source: &Source, options: &ReadOptions) -> Result<Self> {
        let (form, conversations) = read_examples(source, options, |form, fields, provenance| {
            let (messages, tools) = conversation(form, fields)?;
            check(&messages)?;
            Ok(Conversation { messages, tools, provenance })
        })?;
        Ok(Self { form, conversations })
    }
}

type Parts = (Vec<Message>, Vec<Value>);

fn conversation(form: Form, fields: &Fields) -> Result<Parts, Flaw> {
    let messages = match form {
        Form::Alpaca => {
            let mut messages = instruction(fields)?;
            messages.push(Message::new(Role::Assistant, text(fields, "output")?));
            messages
        }
        Form::Messages => messages(fields, "messages")?,
        Form::ShareGpt => with_system(fields, messages(fields, "conversations")?)?,
        Form::PromptCompletion => {
            let mut all = side(fields, "prompt", Role::User)?;
            let completion = side(fields, "completion", Role::Assistant)?;
            all.iter_mut().for_each(|message| message.trained = false);
            all.extend(completion);
            all
        }
        Form::Text => vec![Message::new(Role::Assistant, text(fields, "text")?)],
        found => return Err(Flaw::OtherForm { expected: "conversations", found }),
    };
    Ok((messages, list(fields, "tools")?))
}

/// The turns up to an instruction: `system`, `history`, `instruction` and `input`.
pub(super) fn instruction(fields: &Fields) -> Result<Vec<Message>, Flaw> {
    let mut messages = Vec::new();
    for turn in list(fields, "history")? {
        let [Some(question), Some(answer)] = [0, 1].map(|index| turn[index].as_str()) else {
            return Err(wrong("history", "a turn of it is not a pair of strings"));
        };
        messages.push(Message::new(Role::User, question));
        messages.push(Message::new(Role::Assistant, answer));
    }
    let mut asked = Message::new(Role::User, text(fields, "instruction")?);
    asked.input = optional_text(fields, "input")?;
    messages.push(asked);
    with_system(fields, messages)
}

/// The turns behind what `system` says, if it says something.
fn with_system(fields: &Fields, messages: Vec<Message>) -> Result<Vec<Message>, Flaw> {
    let system = optional_text(fields, "system")?.map(|text| Message::new(Role::System, text));
    Ok(system.into_iter().chain(messages).collect())
}

/// A string that one of them says, or a list of messages.
pub(super) fn side(fields: &Fields, key: &str, role: Role) -> Result<Vec<Message>, Flaw> {
    match fields.get(key) {
        Some(Value::Array(_)) => messages(fields, key),
        Some(Value::Object(one)) => {
            messages(&Map::from_iter([(key.to_owned(), Value::Array(vec![Value::Object(one.clone())]))]), key)
        }
        _ => Ok(vec![Message::new(role, text(fields, key)?)]),
    }
}

/// Refuses answers without a text.
pub(super) fn check(messages: &[Message]) -> Result<(), Flaw> {
    let mut learned = messages.iter().filter(|message| message.is_learned()).peekable();
    if learned.peek().is_none() {
        return Err(Flaw::NothingTrained);
    }
    let is_empty =
        |message: &Message| message.content.trim().is_empty() && !message.fields.contains_key("tool_calls");
    if learned.any(is_empty) { Err(Flaw::EmptyAnswer) } else { Ok(()) }
}
