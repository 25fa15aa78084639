//! What is done for every request: it is counted, it has a number, and a panic is an answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::app::App;
use super::error::ApiError;
use super::fresh;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Counts a request by the pattern of its route: what the client wrote has no bounds.
pub(super) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    app.metrics.answered(route, response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&format!("req-{:016x}", fresh::number())) {
        headers.insert(X_REQUEST_ID, id);
    }
    response
}

/// Answers for a handler that panicked: its bug ends one request, and not the server.
pub(super) async fn panics(request: Request, next: Next) -> Response {
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answered.unwrap_or_else(|_| ApiError::internal().into_response())
}
