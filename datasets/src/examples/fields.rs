//! The values of a record, and what is wrong with one that is not what it should be.

use serde_json::{Map, Value};

use super::{Flaw, Message, Role};
use crate::source::kind;

/// Keys and values of a record.
pub(super) type Fields = Map<String, Value>;

pub(super) fn wrong(key: impl Into<String>, reason: impl Into<String>) -> Flaw {
    Flaw::Value { key: key.into(), reason: reason.into() }
}

fn not(key: &str, found: Option<&Value>, expected: &str) -> Flaw {
    wrong(key, format!("{}, not {expected}", found.map_or("nothing", kind)))
}

/// A string.
pub(super) fn text(fields: &Fields, key: &str) -> Result<String, Flaw> {
    let value = fields.get(key);
    value.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| not(key, value, "a string"))
}

/// A string that may be missing, null or empty, which all mean that there is none.
pub(super) fn optional_text(fields: &Fields, key: &str) -> Result<Option<String>, Flaw> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => text(fields, key).map(|text| Some(text).filter(|text| !text.is_empty())),
    }
}

/// A list that may be missing or null, which mean that it is empty. Some keep it as a string of JSON.
pub(super) fn list(fields: &Fields, key: &str) -> Result<Vec<Value>, Flaw> {
    let value = fields.get(key);
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => Ok(values.clone()),
        Some(Value::String(json)) => {
            serde_json::from_str(json).map_err(|_| not(key, value, "a list, nor a string of JSON with one"))
        }
        Some(_) => Err(not(key, value, "a list")),
    }
}

/// A list of messages: with `role` and `content`, or with `from` and `value`.
pub(super) fn messages(fields: &Fields, key: &str) -> Result<Vec<Message>, Flaw> {
    let value = fields.get(key);
    let messages = value.and_then(Value::as_array).ok_or_else(|| not(key, value, "a list of messages"))?;
    (0..).zip(messages).map(|(index, value)| message(&format!("{key}[{index}]"), value)).collect()
}

fn message(key: &str, value: &Value) -> Result<Message, Flaw> {
    let fields = value.as_object().ok_or_else(|| not(key, Some(value), "a message"))?;
    let (who, what) = if fields.contains_key("from") { ("from", "value") } else { ("role", "content") };
    let within = |name: &str| format!("{key}.{name}");
    let name = fields.get(who);
    let name = name.and_then(Value::as_str).ok_or_else(|| not(&within(who), name, "a string"))?;
    let role = Role::named(name).ok_or_else(|| {
        wrong(within(who), format!("{name:?} is none of system, user, assistant, tool, human, gpt"))
    })?;
    let calls = fields.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
    let content = match fields.get(what) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) if calls => String::new(),
        Some(Value::Array(parts)) => joined(&within(what), parts)?,
        other => return Err(not(&within(what), other, "a string")),
    };
    let weight = fields.get("weight").filter(|weight| !weight.is_null());
    let trained = match weight.map(Value::as_f64) {
        None => true,
        Some(Some(0.0)) => false,
        Some(Some(1.0)) => true,
        Some(_) => {
            return Err(wrong(within("weight"), format!("{}, not 0 or 1", weight.unwrap_or(&Value::Null))));
        }
    };
    let further = fields
        .iter()
        .filter(|(key, value)| !value.is_null() && ![who, what, "weight"].contains(&key.as_str()));
    let further = further.map(|(key, value)| (key.clone(), value.clone())).collect();
    let trained = trained && role == Role::Assistant;
    Ok(Message { role, content, input: None, trained, fields: further })
}

/// The texts of a content in parts, as `[{"type": "text", "text": "…"}]`.
fn joined(key: &str, parts: &[Value]) -> Result<String, Flaw> {
    let texts = parts.iter().map(|part| part["text"].as_str());
    texts.collect::<Option<String>>().ok_or_else(|| wrong(key, "a part of it is no text"))
}
