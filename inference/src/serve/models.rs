//! `/v1/models`: what is served.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::app::{App, Facts};
use super::body::json_response;
use super::error::{ApiError, Result};

/// All models, which is one.
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    json_response(StatusCode::OK, &json!({ "object": "list", "data": [object(&app.facts)] }))
}

/// A model by its name.
pub(super) async fn get(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response> {
    if id == app.facts.id {
        return Ok(json_response(StatusCode::OK, &object(&app.facts)));
    }
    let message = format!("There is no model of this name; this server has {:?}.", app.facts.id);
    Err(ApiError::new(StatusCode::NOT_FOUND, message).with_code("model_not_found"))
}

fn object(facts: &Facts) -> Value {
    json!({
        "id": facts.id,
        "object": "model",
        "created": facts.created,
        "owned_by": "kiln",
        "max_model_len": facts.context_length,
    })
}
