//! What a client is told where it gets no answer, in OpenAI's shape.

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::json_response;
use crate::error::Error;

/// A refusal, or a failure of ours.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
    /// The field that is wrong.
    param: Option<String>,
    /// What is wrong, for programs.
    code: Option<&'static str>,
    /// Tokens of a prompt that is too long, and of the context.
    sizes: Option<(usize, usize)>,
}

/// Result of what a request asks for.
pub(super) type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    /// An answer with this status.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, sizes: None }
    }

    /// A field that is wrong.
    pub(super) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// The same error with a code.
    pub(super) fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The error of a field that is within `param`.
    pub(super) fn within(self, param: &str) -> Self {
        Self { param: self.param.map(|inner| format!("{param}.{inner}")), ..self }
    }

    /// A prompt that is longer than the context. Clients look for these words.
    pub(super) fn too_long(param: &str, tokens: usize, context_length: usize) -> Self {
        let message = format!(
            "This model's maximum context length is {context_length} tokens, but the prompt has {tokens}. Shorten it."
        );
        let error = Self::invalid(param, message).with_code("context_length_exceeded");
        Self { sizes: Some((tokens, context_length)), ..error }
    }

    /// Nothing new is taken any more.
    pub(super) fn ending() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down.")
    }

    /// The engine is gone.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The server failed.")
    }

    /// What the client reads.
    pub(super) fn object(&self) -> Value {
        let mut error = json!({
            "message": self.message,
            "type": kind(self.status),
            "param": self.param,
            "code": self.code,
        });
        if let Some((tokens, context_length)) = self.sizes {
            error["n_prompt_tokens"] = json!(tokens);
            error["n_ctx"] = json!(context_length);
        }
        json!({ "error": error })
    }
}

/// OpenAI's word for a class of errors.
fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "service_unavailable_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.object());
        let headers = response.headers_mut();
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            StatusCode::UNAUTHORIZED => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            _ => None,
        };
        response
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match &error {
            Error::TooLong { tokens, context_length } => Self::too_long("prompt", *tokens, *context_length),
            Error::Sampling { key, .. } => Self::invalid(*key, error.to_string()),
            Error::Constraint(_) => Self::invalid("response_format", error.to_string()),
            Error::EmptyPrompt | Error::UnknownToken { .. } | Error::Data(_) => {
                Self::invalid("prompt", error.to_string())
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}
