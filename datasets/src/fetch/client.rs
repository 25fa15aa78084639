//! Requests to the hub and to other servers, repeated while the network fails.

use std::cell::Cell;
use std::io::ErrorKind;
use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::Response;
use ureq::{Agent, Body, Timeout};

use super::{FetchOptions, FetchProgress};
use crate::Absence;
use crate::error::{Error, Result};

/// Longest pause between attempts, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Attempts to reach any server at all: without a network, more of them only keep people waiting.
const ATTEMPTS_TO_REACH: u32 = 3;

/// Asks servers.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    attempts: u32,
    backoff: Duration,
    /// Whether a server has answered.
    reached: Cell<bool>,
}

/// Why an attempt ended.
pub(super) enum Failure {
    /// Another attempt may help, after that pause if the server names one.
    Passing { reason: String, pause: Option<Duration>, advanced: bool, unreachable: bool },
    /// It will not.
    Final(Error),
}

impl Failure {
    pub(super) fn passing(reason: impl Into<String>, pause: Option<Duration>) -> Self {
        Self::Passing { reason: reason.into(), pause, advanced: false, unreachable: false }
    }

    /// The failure of an attempt that had `before` bytes at its start and `after` at its end.
    pub(super) fn between(mut self, before: u64, after: u64) -> Self {
        if let Self::Passing { advanced, .. } = &mut self {
            *advanced = after > before;
        }
        self
    }

    fn of_request(url: &str, error: &ureq::Error) -> Self {
        if matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_)) {
            let reason = Absence::Other(error.to_string());
            return Self::Final(Error::NotThere { url: url.to_owned(), reason });
        }
        let unreachable = is_unreachable(error);
        let reason = match error {
            ureq::Error::Io(error) => error.to_string(),
            error => error.to_string(),
        };
        Self::Passing { reason, pause: None, advanced: false, unreachable }
    }
}

impl Client {
    pub(super) fn new(options: &FetchOptions) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A repository that was renamed answers under its new name.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(options.stall))
            .timeout_recv_response(Some(options.stall))
            .timeout_per_read(Some(options.stall))
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
            .build();
        let FetchOptions { endpoint, token, attempts, backoff, .. } = options.clone();
        Self {
            agent: config.into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            attempts,
            backoff,
            reached: Cell::new(false),
        }
    }

    /// Address of the hub, without a slash at its end.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The text at `url`.
    pub(super) fn text(&self, url: &str, progress: &mut dyn FnMut(&FetchProgress)) -> Result<String> {
        self.persist(url, &mut |retry| {
            if retry.is_some() {
                let file = self.endpoint.clone();
                progress(&FetchProgress { file, retry, ..FetchProgress::default() });
            }
            let mut response = self.get(url, 0)?;
            let text = response.body_mut().read_to_string();
            text.map_err(|error| Failure::passing(error.to_string(), None))
        })
    }

    /// Repeats `attempt` while another one may help; each is told how the last one failed.
    pub(super) fn persist<T>(
        &self,
        url: &str,
        attempt: &mut dyn FnMut(Option<String>) -> Result<T, Failure>,
    ) -> Result<T> {
        let (mut last, mut failures) = (None, 0);
        loop {
            let (reason, pause, advanced, unreachable) = match attempt(last.take()) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { reason, pause, advanced, unreachable }) => {
                    (reason, pause, advanced, unreachable)
                }
            };
            failures = if advanced { 1 } else { failures + 1 };
            let attempts = match unreachable && !self.reached.get() {
                true => self.attempts.min(ATTEMPTS_TO_REACH),
                false => self.attempts,
            };
            if failures >= attempts {
                let url = url.to_owned();
                return Err(match unreachable {
                    true => Error::Unreachable { url, reason },
                    false => Error::Download { url, reason },
                });
            }
            let pause = pause.unwrap_or_else(|| self.backoff.saturating_mul(1 << (failures - 1).min(16)));
            std::thread::sleep(pause.min(LONGEST_PAUSE));
            last = Some(reason);
        }
    }

    /// The response to a request for a file from a byte on.
    pub(super) fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| url.starts_with(&format!("{}/", self.endpoint))) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|error| Failure::of_request(url, &error))?;
        self.reached.set(true);
        let status = response.status();
        match status.as_u16() {
            200 | 206 => Ok(response),
            401 | 403 | 404 | 410 => {
                let reason = absence(&response);
                Err(Failure::Final(Error::NotThere { url: url.to_owned(), reason }))
            }
            // All of the file is here already, or it has become shorter.
            416 => Err(Failure::passing(status.to_string(), Some(Duration::ZERO))),
            408 | 425 | 429 | 500..=599 => {
                let seconds = header(&response, "Retry-After").and_then(|value| value.trim().parse().ok());
                Err(Failure::passing(status.to_string(), seconds.map(Duration::from_secs)))
            }
            _ => Err(Failure::Final(Error::Download { url: url.to_owned(), reason: status.to_string() })),
        }
    }
}

/// What the hub means by a status: it answers 401 for what does not exist, too.
fn absence(response: &Response<Body>) -> Absence {
    let status = response.status();
    let message = header(response, "X-Error-Message").filter(|text| !text.contains("username or password"));
    let reason = match message {
        Some(message) => format!("{status}: {}", message.trim()),
        None => status.to_string(),
    };
    match (header(response, "X-Error-Code"), status.as_u16()) {
        (Some("GatedRepo"), _) => Absence::Gated(reason),
        (Some("RepoNotFound" | "RevisionNotFound" | "EntryNotFound"), _) | (_, 404 | 410) => {
            Absence::Unknown(reason)
        }
        _ => Absence::Denied(reason),
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Whether no server was reached, as on a machine without a network.
fn is_unreachable(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => {
            true
        }
        ureq::Error::Timeout(phase) => matches!(phase, Timeout::Resolve | Timeout::Connect),
        // A name that is not resolved has no kind of its own; these happen to connections that there are.
        ureq::Error::Io(error) => !matches!(
            error.kind(),
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
                | ErrorKind::InvalidData
        ),
        _ => false,
    }
}
