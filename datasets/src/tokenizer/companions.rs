//! The files beside a vocabulary, which are part of the tokenizer too: they add tokens, and say which of them
//! begins a text, ends it, or fills it up.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

pub(super) const CONFIG: &str = "tokenizer_config.json";
/// How a conversation becomes a text: newer programs read it here, older ones in the configuration.
pub(crate) const CHAT_TEMPLATE: &str = "chat_template.jinja";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";

/// What special tokens are for, by the names of transformers.
pub(crate) const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the files say; nothing where they are not there.
#[derive(Clone, Debug, Default)]
pub(super) struct Companions {
    /// `tokenizer_config.json`, and what `special_tokens_map.json` and `chat_template.jinja` say beside it.
    pub config: Map<String, Value>,
    /// `added_tokens.json`: tokens and their ids.
    added: Map<String, Value>,
}

impl Companions {
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let mut config = read_object(&directory.join(CONFIG))?;
        for (key, value) in read_object(&directory.join(SPECIAL_TOKENS))? {
            let place = config.entry(key).or_insert(Value::Null);
            if place.is_null() {
                *place = value;
            }
        }
        let template = directory.join(CHAT_TEMPLATE);
        if template.is_file() {
            config.insert("chat_template".to_owned(), json!(read_text(&template)?));
        }
        Ok(Self { config, added: read_object(&directory.join(ADDED_TOKENS))? })
    }

    /// A `tokenizer_config.json` alone.
    pub(super) fn of_config(config: Map<String, Value>) -> Self {
        Self { config, added: Map::new() }
    }

    /// The text of the token that has a role.
    pub(super) fn token(&self, role: &str) -> Option<&str> {
        self.config.get(role).and_then(content)
    }

    /// A setting that is on or off, where it is set.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.config.get(key).and_then(Value::as_bool)
    }

    /// Whether a space stands before every text, where that is for the configuration to say: transformers' class for
    /// GPT-2 goes by it and not by `tokenizer.json`, others go by that.
    pub(super) fn space_before_text(&self) -> Option<bool> {
        let class = self.config.get("tokenizer_class").and_then(Value::as_str)?;
        class.starts_with("GPT2Tokenizer").then(|| self.flag("add_prefix_space") == Some(true))
    }

    /// Tokens that are special by their role, or because they are listed.
    pub(super) fn special(&self) -> Vec<&str> {
        let listed = ["additional_special_tokens", "extra_special_tokens"];
        let listed = listed.iter().filter_map(|key| self.config.get(*key)).flat_map(|list| match list {
            Value::Array(tokens) => tokens.iter().collect(),
            Value::Object(tokens) => tokens.values().collect(),
            _ => Vec::new(),
        });
        ROLES.iter().filter_map(|role| self.token(role)).chain(listed.filter_map(content)).collect()
    }

    /// Tokens with an id of their own, as `tokenizer.json` writes them.
    pub(super) fn added(&self) -> Result<Vec<Value>, String> {
        let special: HashSet<&str> = self.special().into_iter().collect();
        let mut added = Vec::new();
        let decoder = self.config.get("added_tokens_decoder").and_then(Value::as_object);
        for (id, token) in decoder.into_iter().flatten() {
            let text = content(token).ok_or_else(|| format!("added token {id} has no `content`"))?;
            let id: u32 = id.parse().map_err(|_| format!("{id:?}, of {text:?}, is not a token id"))?;
            let mut entry = added_token(text, id, special.contains(text));
            for key in ["single_word", "lstrip", "rstrip", "normalized", "special"] {
                if token[key] == true {
                    entry[key] = json!(true);
                }
            }
            added.push(entry);
        }
        for (text, id) in &self.added {
            let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let number = number.ok_or_else(|| format!("{id}, of {text:?}, is not a token id"))?;
            added.push(added_token(text, number, special.contains(text.as_str())));
        }
        added.sort_by_key(|entry| entry["id"].as_u64());
        Ok(added)
    }
}

/// An entry of `added_tokens` in a `tokenizer.json`.
pub(super) fn added_token(content: &str, id: u32, special: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": special})
}

/// A token as a string, or as an object with its text.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str()).filter(|text| !text.is_empty())
}

/// The bytes of a file, without the mark that some programs put before text.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    Ok(text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text))
}

fn read_object(path: &Path) -> Result<Map<String, Value>> {
    match read_text(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| Error::format(path, error.to_string())),
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(error),
    }
}
