//! `/tokenize`, `/detokenize` and `/tokenizer_info`: for programs that want to count as the model does.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::app::App;
use super::body::json_response;
use super::error::{ApiError, Result};
use super::fields::{Fields, wrong};
use super::{logprobs, parameters};

/// The tokens of a text. What tokens the tokenizer puts first, and special tokens that are written out, count unless the
/// request says otherwise.
pub(super) async fn encode(State(app): State<Arc<App>>, mut fields: Fields) -> Result<Response> {
    let tokenizer = &app.facts.tokenizer;
    let unless_false = |value: Option<Value>| value.is_none_or(|value| value != json!(false));
    let starts = [fields.value("add_special_tokens"), fields.value("add_special")];
    let starts = starts.into_iter().all(unless_false);
    let parses = unless_false(fields.value("parse_special"));
    let with_pieces = fields.flag("with_pieces")?;
    let text = match (fields.text("prompt")?, fields.text("content")?) {
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => return Err(ApiError::invalid("prompt", "`prompt` is missing.")),
    };
    let start = tokenizer.start_of_text();
    let encoded = match parses {
        true => tokenizer.encode_with_special_tokens(&text).map(|mut tokens| tokens.split_off(start.len())),
        false => tokenizer.encode(&text),
    };
    let encoded = encoded.map_err(|error| ApiError::invalid("prompt", error.to_string()))?;
    let tokens = [if starts { start } else { &[] }, &encoded].concat();
    let (count, longest) = (tokens.len(), app.facts.context_length);
    let tokens: Value = match with_pieces {
        true => {
            tokens.iter().map(|id| json!({ "id": id, "piece": logprobs::name(*id, tokenizer) })).collect()
        }
        false => json!(tokens),
    };
    Ok(json_response(StatusCode::OK, &json!({ "tokens": tokens, "count": count, "max_model_len": longest })))
}

/// The text of tokens.
pub(super) async fn decode(State(app): State<Arc<App>>, mut fields: Fields) -> Result<Response> {
    let tokens = match fields.value("tokens") {
        None => return Err(ApiError::invalid("tokens", "`tokens` is missing.")),
        Some(Value::Array(tokens)) => tokens,
        Some(other) => return Err(wrong("tokens", &other, "a list of tokens")),
    };
    let tokens = tokens.iter().map(|token| parameters::token("tokens", token, &app.facts));
    let tokens: Vec<u32> = tokens.collect::<Result<_>>()?;
    let text = app.facts.tokenizer.decode(&tokens);
    let text = text.map_err(|error| ApiError::invalid("tokens", error.to_string()))?;
    Ok(json_response(StatusCode::OK, &json!({ "prompt": text, "content": text })))
}

/// The special tokens, and the template of conversations.
pub(super) async fn info(State(app): State<Arc<App>>) -> Response {
    let facts = &app.facts;
    let text = |token: Option<u32>| token.and_then(|token| facts.tokenizer.decode(&[token]).ok());
    let role = |name| facts.tokenizer.special_token(name);
    let end = role("eos_token").or_else(|| facts.special_tokens.end.first().copied());
    let begin = role("bos_token").or(facts.special_tokens.begin);
    json_response(
        StatusCode::OK,
        &json!({
            "eos_token": text(end),
            "bos_token": text(begin),
            "pad_token": text(role("pad_token").or(facts.special_tokens.padding)),
            "chat_template": facts.chat_template,
        }),
    )
}
