//! `/v1/chat/completions`: a conversation is answered.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use kiln_datasets::examples::{Conversation, Message, Provenance, Role};
use serde_json::Value;

use super::app::{App, Facts};
use super::choice::Prompt;
use super::completions::answer;
use super::error::{ApiError, Result};
use super::fields::{Fields, wrong};
use super::generation::Generation;
use super::parameters::{self, Parameters};
use super::reply::Kind;

/// What is not supported.
const REFUSED: [&str; 4] = ["tools", "functions", "audio", "suffix"];

/// Answers a conversation.
pub(super) async fn create(State(app): State<Arc<App>>, mut fields: Fields) -> Result<Response> {
    fields.refuse(&REFUSED)?;
    let facts = &app.facts;
    let mut parameters = Parameters::take(&mut fields, facts, &facts.ends_of_turns)?;
    let limit = parameters::max_tokens(&mut fields, &["max_completion_tokens", "max_tokens"])?;
    parameters.options.max_tokens = limit.unwrap_or(facts.context_length);
    parameters.options.logprobs = logprobs(&mut fields)?;
    let tokens = prompt(messages(&mut fields)?, facts)?;
    let prompt = Prompt { tokens, hidden: 0 };
    let generation = Generation::start(Arc::clone(&app), vec![prompt], &parameters, false, "messages")?;
    answer(generation, Kind::Chat, &parameters).await
}

/// Takes `logprobs` and `top_logprobs`.
fn logprobs(fields: &mut Fields) -> Result<Option<usize>> {
    match (fields.flag("logprobs")?, parameters::top(fields, "top_logprobs")?) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => {
            Err(ApiError::invalid("top_logprobs", "`top_logprobs` needs `logprobs` to be true."))
        }
    }
}

/// The tokens of a conversation, up to where the model is to answer.
fn prompt(messages: Vec<Message>, facts: &Facts) -> Result<Vec<u32>> {
    let encoder = facts.encoder.as_ref().ok_or_else(|| {
        let message = "This model has no chat template, and was perhaps never taught to answer: use /v1/completions, or \
                       start the server with --chat-template.";
        ApiError::invalid("messages", message)
    })?;
    let provenance = Provenance::of_file(Path::new("messages"));
    let conversation = Conversation { messages, tools: Vec::new(), provenance };
    encoder.prompt(&conversation).map_err(|error| ApiError::invalid("messages", error.to_string()))
}

/// Takes `messages`.
fn messages(fields: &mut Fields) -> Result<Vec<Message>> {
    let messages = match fields.value("messages") {
        None => return Err(ApiError::invalid("messages", "`messages` is missing.")),
        Some(Value::Array(messages)) if messages.is_empty() => {
            return Err(ApiError::invalid(
                "messages",
                "`messages` must be a list of at least one message, not an empty one.",
            ));
        }
        Some(Value::Array(messages)) => messages,
        Some(other) => return Err(wrong("messages", &other, "a list of at least one message")),
    };
    messages.into_iter().enumerate().map(|(index, one)| message(index, one)).collect()
}

fn message(index: usize, message: Value) -> Result<Message> {
    let param = format!("messages[{index}]");
    let Value::Object(message) = message else { return Err(wrong(&param, &message, "an object")) };
    let mut fields = Fields::new(message);
    let within = |error: ApiError| error.within(&param);
    fields.refuse(&["tool_calls", "function_call", "audio"]).map_err(within)?;
    let role = fields.value("role").unwrap_or_default();
    let role = match role.as_str() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => return Err(wrong(&format!("{param}.role"), &role, "system, developer, user or assistant")),
    };
    let content = content(&format!("{param}.content"), fields.value("content"))?;
    Ok(Message::new(role, content))
}

/// What somebody says: a text, parts of one, or nothing.
fn content(param: &str, content: Option<Value>) -> Result<String> {
    match content {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| match (part["type"].as_str(), part["text"].as_str()) {
                (Some("text"), Some(text)) => Ok(text),
                _ => Err(ApiError::invalid(
                    param,
                    format!("`{param}` has a part that is no text; this server reads nothing else."),
                )),
            })
            .collect(),
        Some(other) => Err(wrong(param, &other, "a string or a list of texts")),
    }
}
