//! Bodies: JSON in, JSON out.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde_json::Value;

use super::error::{ApiError, Result};
use super::fields::Fields;

/// Bytes of a request at most.
const MOST: usize = 4 << 20;

/// Bytes that are read of a request that is too large: a client that still sends does not hear the answer.
const MOST_READ: usize = 16 * MOST;

/// Time that a request has to arrive.
const TIME: Duration = Duration::from_secs(30);

/// An answer.
pub(super) fn json_response(status: StatusCode, value: &Value) -> Response {
    let mut response = (status, value.to_string()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl<S: Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self> {
        let late = || {
            ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("The body did not arrive within {} seconds.", TIME.as_secs()),
            )
        };
        let bytes = tokio::time::timeout(TIME, read(request.into_body())).await.map_err(|_| late())??;
        let refused = |reason| ApiError::new(StatusCode::BAD_REQUEST, reason);
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(Self::new(fields)),
            Ok(_) => Err(refused("The body must be a JSON object.".to_owned())),
            Err(error) => Err(refused(format!("The body is not JSON: {error}."))),
        }
    }
}

/// The whole of a body.
async fn read(body: Body) -> Result<Vec<u8>> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("The body broke off: {error}."))
        })?;
        length += chunk.len();
        if length <= MOST {
            bytes.extend_from_slice(&chunk);
        } else if length > MOST_READ {
            break;
        }
    }
    match length {
        ..=MOST => Ok(bytes),
        _ => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The body has more than {MOST} bytes, the most that a request may have."),
        )),
    }
}
