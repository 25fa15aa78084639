//! Who may ask: by which name the server is called, from which page, and with which key.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, HOST, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::app::App;
use super::error::ApiError;
use super::options::ServeOptions;

/// What needs no key: it tells nothing.
const OPEN: [&str; 4] = ["/", "/app.css", "/app.js", "/health"];

/// Stands for every name.
const ANY: &str = "*";

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The rules.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
    /// The address that the server listens at.
    address: IpAddr,
    key: Option<String>,
}

impl Guard {
    /// The rules of a server that listens at `address`.
    pub(super) fn new(options: &ServeOptions, address: IpAddr) -> Self {
        Self {
            hosts: options.allowed_hosts.iter().map(|host| name(host).to_lowercase()).collect(),
            origins: options.allowed_origins.clone(),
            address,
            key: options.api_key.clone(),
        }
    }

    /// Whether the server may be called so. A page elsewhere may have a name of its own lead here; it cannot have an address
    /// do so.
    fn allows_host(&self, host: &str) -> bool {
        let name = name(host).to_lowercase();
        if name == "localhost" || self.hosts.iter().any(|allowed| *allowed == name || allowed == ANY) {
            return true;
        }
        let literal = name.trim_start_matches('[').trim_end_matches(']').parse();
        literal.is_ok_and(|literal: IpAddr| {
            literal.is_loopback() || literal == self.address || self.address.is_unspecified()
        })
    }

    /// Whether a page of this origin may ask the server, which the browser calls `host`.
    fn allows_origin(&self, origin: &str, host: &str) -> bool {
        self.lists_origin(origin)
            || origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
    }

    fn lists_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed.trim_end_matches('/') == origin || allowed == ANY)
    }

    /// Whether the key is among these headers. How long the comparison takes says nothing of how much of it is right.
    fn knows_key(&self, headers: &HeaderMap) -> bool {
        let Some(key) = &self.key else { return true };
        let bearer = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, rest) = value.as_bytes().split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest)
        });
        let given = bearer.into_iter().chain(headers.get(X_API_KEY).map(HeaderValue::as_bytes));
        given.into_iter().any(|given| bool::from(given.trim_ascii().ct_eq(key.as_bytes())))
    }
}

/// The host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The name by which the server was called; empty if by none.
fn host_of(request: &Request) -> String {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let in_uri = request.uri().authority().map(|authority| authority.as_str());
    in_uri.or(named).unwrap_or_default().to_owned()
}

/// Refuses a request by a name that is not ours.
pub(super) async fn host(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let host = host_of(&request);
    if app.guard.allows_host(&host) {
        return next.run(request).await;
    }
    app.metrics.rejected("host");
    let message = format!("This server does not answer to the host {host:?}; start it with --allow-host.");
    ApiError::new(StatusCode::FORBIDDEN, message).into_response()
}

/// Refuses a request of a page that is not ours, and lets the browser show the answer to one that was allowed.
pub(super) async fn origin(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(ORIGIN).cloned() else { return next.run(request).await };
    let (named, host) = (String::from_utf8_lossy(origin.as_bytes()), host_of(&request));
    if !app.guard.allows_origin(&named, &host) {
        app.metrics.rejected("origin");
        let message = format!("Pages of {named:?} may not ask this server; start it with --allow-origin.");
        return ApiError::new(StatusCode::FORBIDDEN, message).into_response();
    }
    if !app.guard.lists_origin(&named) {
        return next.run(request).await;
    }
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let is_preflight = request.method() == Method::OPTIONS;
    let mut response = match is_preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if is_preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        // Clients send headers of their own, which say nothing.
        headers.extend(asked.map(|asked| (ACCESS_CONTROL_ALLOW_HEADERS, asked)));
    }
    response
}

/// Refuses a request without the key.
pub(super) async fn key(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) || app.guard.knows_key(request.headers()) {
        return next.run(request).await;
    }
    app.metrics.rejected("key");
    let message =
        "The API key is missing or wrong; send it as `Authorization: Bearer KEY` or `X-Api-Key: KEY`.";
    ApiError::new(StatusCode::UNAUTHORIZED, message).with_code("invalid_api_key").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &[&str], origins: &[&str], address: &str) -> Guard {
        let options = ServeOptions {
            allowed_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            allowed_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            api_key: Some("secret".to_owned()),
            ..ServeOptions::default()
        };
        Guard::new(&options, address.parse().expect("an address"))
    }

    #[test]
    fn the_server_answers_to_its_own_names_alone() {
        let local = guard(&["kiln.example"], &[], "127.0.0.1");
        for host in
            ["127.0.0.1:8080", "localhost", "LocalHost:1", "[::1]:80", "127.8.8.8", "kiln.example:443"]
        {
            assert!(local.allows_host(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", ":80"] {
            assert!(!local.allows_host(host), "{host}");
        }
        let everywhere = guard(&[], &[], "0.0.0.0");
        assert!(everywhere.allows_host("10.0.0.1:80") && !everywhere.allows_host("evil.example"));
        assert!(guard(&["*"], &[], "::1").allows_host("any.example"));
    }

    #[test]
    fn a_page_asks_its_own_server_or_is_allowed() {
        let guard = guard(&[], &["https://app.example/"], "127.0.0.1");
        assert!(guard.allows_origin("http://localhost:8080", "localhost:8080"));
        assert!(guard.allows_origin("https://app.example", "localhost:8080"));
        for origin in ["http://localhost:3000", "https://evil.example", "null", "localhost:8080"] {
            assert!(!guard.allows_origin(origin, "localhost:8080"), "{origin}");
        }
    }

    #[test]
    fn a_key_comes_in_either_header() {
        let guard = guard(&[], &[], "127.0.0.1");
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            guard.knows_key(&headers)
        };
        assert!(with("authorization", "Bearer secret") && with("authorization", "bearer secret"));
        assert!(with("x-api-key", "secret"));
        assert!(!with("authorization", "Bearer secre") && !with("authorization", "secret"));
        assert!(!with("x-api-key", "") && !with("authorization", "Bearer ") && !with("cookie", "secret"));
    }
}
