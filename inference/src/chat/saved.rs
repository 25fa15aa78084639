//! Conversations as files: JSON with `messages`, as OpenAI has them, and `settings`.

use std::path::Path;

use kiln_datasets::examples::{Message, Role};
use serde::{Deserialize, Serialize};

use super::{ChatHistory, ChatSettings};
use crate::error::{Error, Result};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedChat {
    messages: Vec<SavedMessage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<ChatSettings>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedMessage {
    role: String,
    content: String,
}

/// Writes a conversation. A file that holds something else is not replaced.
pub(super) fn write(path: &Path, history: &ChatHistory, settings: &ChatSettings) -> Result<()> {
    if path.exists() {
        read(path)?;
    }
    let messages = history.messages(0);
    let saved = |Message { role, content, .. }| SavedMessage { role: Role::name(role).to_owned(), content };
    let chat = SavedChat { messages: messages.map(saved).collect(), settings: Some(settings.clone()) };
    let mut text = serde_json::to_string_pretty(&chat).expect("strings and finite numbers");
    text.push('\n');
    Ok(kiln_model::write_file(path, text)?)
}

/// Reads a conversation, and its settings where the file has them.
pub(super) fn read(path: &Path) -> Result<(ChatHistory, Option<ChatSettings>)> {
    let refuse = |reason| Error::Conversation { path: path.to_owned(), reason };
    let bytes =
        std::fs::read(path).map_err(|source| kiln_model::Error::Io { path: path.to_owned(), source })?;
    let chat: SavedChat = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
    let messages = chat.messages.into_iter().map(|message| match Role::named(&message.role) {
        Some(role) => Ok((role, message.content)),
        None => Err(format!("there is no role {:?}", message.role)),
    });
    let messages = messages.collect::<Result<_, _>>().map_err(refuse)?;
    let history = ChatHistory::of_messages(messages).map_err(refuse)?;
    if let Some(settings) = &chat.settings {
        settings.validate().map_err(|error| refuse(error.to_string()))?;
    }
    Ok((history, chat.settings))
}
