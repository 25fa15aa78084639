//! `/health`: whether it makes sense to ask. Answered at once, whatever the model is doing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::app::App;
use super::body::json_response;
use super::phase::Phase;

/// Whether texts are taken.
pub(super) async fn get(State(app): State<Arc<App>>) -> Response {
    match app.phase() {
        Phase::Serving => json_response(StatusCode::OK, &json!({ "status": "ok" })),
        _ => json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "draining" })),
    }
}
