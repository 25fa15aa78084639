//! `/v1/completions`: texts are continued, or judged.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::app::{App, Facts};
use super::body::json_response;
use super::choice::Prompt;
use super::error::{ApiError, Result};
use super::fields::{Fields, wrong};
use super::generation::Generation;
use super::parameters::{self, Parameters};
use super::reply::{Kind, Reply};
use super::sse;

/// Tokens of a text where nobody says how many.
const MAX_TOKENS: usize = 16;

/// Continues prompts.
pub(super) async fn create(State(app): State<Arc<App>>, mut fields: Fields) -> Result<Response> {
    fields.refuse(&["suffix"])?;
    let facts = &app.facts;
    let mut parameters = Parameters::take(&mut fields, facts, &facts.special_tokens.end)?;
    let limit = parameters::max_tokens(&mut fields, &["max_tokens", "max_completion_tokens"])?;
    parameters.options.max_tokens = limit.unwrap_or(MAX_TOKENS);
    parameters.options.logprobs = parameters::top(&mut fields, "logprobs")?;
    let echo = fields.flag("echo")?;
    let prompts = prompts(&mut fields, facts)?;
    let generation = Generation::start(Arc::clone(&app), prompts, &parameters, echo, "prompt")?;
    answer(generation, Kind::Completion, &parameters).await
}

/// The texts of a request, in the way that it asks for.
pub(super) async fn answer(
    mut generation: Generation,
    kind: Kind,
    parameters: &Parameters,
) -> Result<Response> {
    let reply = Reply::new(kind, &generation.app().facts.id, parameters.steering.clone());
    if parameters.stream {
        return Ok(sse::stream(generation, reply, parameters.include_usage));
    }
    let mut texts = generation.finish().await?;
    if parameters.best_of > parameters.n {
        let mut best = Vec::new();
        while !texts.is_empty() {
            let rest = texts.split_off(parameters.best_of.min(texts.len()));
            texts.sort_by(|one, other| other.mean_logprob.total_cmp(&one.mean_logprob));
            best.extend(texts.into_iter().take(parameters.n));
            texts = rest;
        }
        texts = best;
    }
    let tokenizer = &generation.app().facts.tokenizer;
    Ok(json_response(StatusCode::OK, &reply.whole(&texts, generation.usage(), tokenizer)))
}

/// Takes `prompt`: a text, tokens, or a list of either.
fn prompts(fields: &mut Fields, facts: &Facts) -> Result<Vec<Prompt>> {
    const EXPECTED: &str = "a string, a list of tokens, or a list of either";
    let prompts = match fields.value("prompt") {
        None => return Err(ApiError::invalid("prompt", "`prompt` is missing.")),
        Some(Value::String(text)) => vec![facts.prompt(&text)?],
        Some(Value::Array(items)) => match items.first() {
            Some(Value::Number(_)) => vec![of_tokens(&items, facts)?],
            _ => items
                .iter()
                .map(|item| match item {
                    Value::String(text) => facts.prompt(text),
                    Value::Array(tokens) => of_tokens(tokens, facts),
                    other => Err(wrong("prompt", other, EXPECTED)),
                })
                .collect::<Result<Vec<_>>>()?,
        },
        Some(other) => return Err(wrong("prompt", &other, EXPECTED)),
    };
    if prompts.is_empty() {
        return Err(ApiError::invalid("prompt", "`prompt` is an empty list."));
    }
    Ok(prompts)
}

fn of_tokens(tokens: &[Value], facts: &Facts) -> Result<Prompt> {
    let tokens = tokens.iter().map(|token| parameters::token("prompt", token, facts));
    Ok(Prompt { tokens: tokens.collect::<Result<_>>()?, hidden: 0 })
}
