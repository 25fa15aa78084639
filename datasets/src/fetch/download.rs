//! One file over HTTP: resumed where it stopped, tried again when the network fails, checked at the end.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::{FetchOptions, FetchProgress};
use crate::error::{Absence, Error, Result};

/// Longest pause between attempts, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// What is known of a file before it is here.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pub size: Option<u64>,
    /// In hexadecimal digits.
    pub sha256: Option<String>,
}

impl Expected {
    /// How a file differs from what is expected, if it does.
    fn difference(&self, file: &mut File) -> std::io::Result<Option<String>> {
        if let Some(sha256) = &self.sha256 {
            let found = digest(file)?;
            return Ok((found != *sha256).then(|| format!("the file has SHA-256 {found}, expected {sha256}")));
        }
        let here = file.metadata()?.len();
        let wrong = self.size.filter(|size| here != *size);
        Ok(wrong.map(|size| format!("the file has {here} bytes, expected {size}")))
    }
}

/// Downloads files.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    attempts: u32,
    backoff: Duration,
}

/// Why an attempt ended.
enum Failure {
    /// Another attempt may help, after that pause if the server names one.
    Passing { reason: String, pause: Option<Duration>, advanced: bool },
    /// It will not.
    Final(Error),
}

impl Failure {
    fn passing(reason: impl Into<String>, pause: Option<Duration>) -> Self {
        Self::Passing { reason: reason.into(), pause, advanced: false }
    }

    /// The failure of an attempt that had `before` bytes at its start and `after` at its end.
    fn between(mut self, before: u64, after: u64) -> Self {
        if let Self::Passing { advanced, .. } = &mut self {
            *advanced = after > before;
        }
        self
    }
}

impl Client {
    pub(super) fn new(options: &FetchOptions) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
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
        }
    }

    /// Address of the hub, without a slash at its end.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The text at `url`.
    pub(super) fn text(&self, url: &str) -> Result<String> {
        self.persist(url, &mut |_| {
            let mut response = self.get(url, 0)?;
            response.body_mut().read_to_string().map_err(|error| passing(&error))
        })
    }

    /// Downloads `url` to `path`.
    pub(super) fn download(
        &self,
        url: &str,
        path: &Path,
        expected: &Expected,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<()> {
        let partial = partial(path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&partial)
            .map_err(Error::io(&partial))?;
        if file.try_lock().is_err() {
            return Err(Error::Busy { path: partial });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut state = FetchProgress { file: name, bytes: 0, total: expected.size, retry: None };
        self.persist(url, &mut |retry| {
            state.retry = retry;
            let before = state.bytes;
            let outcome = self.attempt(url, &partial, &mut file, expected, &mut state, progress);
            outcome.map_err(|failure| failure.between(before, state.bytes))
        })
        .inspect_err(|_| {
            // Nothing to resume from.
            if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
                let _ = std::fs::remove_file(&partial);
            }
        })?;
        file.sync_all().and_then(|()| std::fs::rename(&partial, path)).map_err(Error::io(path))
    }

    /// Repeats `attempt` while another one may help; each is told how the last one failed.
    fn persist<T>(
        &self,
        url: &str,
        attempt: &mut dyn FnMut(Option<String>) -> Result<T, Failure>,
    ) -> Result<T> {
        let (mut last, mut failures) = (None, 0);
        loop {
            let (reason, pause, advanced) = match attempt(last.take()) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { reason, pause, advanced }) => (reason, pause, advanced),
            };
            failures = if advanced { 1 } else { failures + 1 };
            if failures >= self.attempts {
                return Err(Error::Download { url: url.to_owned(), reason });
            }
            let pause = pause.unwrap_or_else(|| self.backoff.saturating_mul(1 << (failures - 1).min(16)));
            std::thread::sleep(pause.min(LONGEST_PAUSE));
            last = Some(reason);
        }
    }

    /// One request for all that is missing, then a check of the whole.
    fn attempt(
        &self,
        url: &str,
        partial: &Path,
        file: &mut File,
        expected: &Expected,
        state: &mut FetchProgress,
        progress: &mut dyn FnMut(&FetchProgress),
    ) -> Result<(), Failure> {
        let broken = |error: std::io::Error| Failure::Final(Error::io(partial)(error));
        let here = file.seek(SeekFrom::End(0)).map_err(broken)?;
        if expected.size.is_none_or(|size| here != size) || here == 0 {
            let (mut response, here) = self.request(url, here, file, &broken)?;
            let total = response.body().content_length().map(|rest| here + rest).or(expected.size);
            (state.bytes, state.total) = (here, total);
            progress(state);
            receive(&mut response, file, &broken, state, progress)?;
            if let Some(size) = expected.size.or(total).filter(|size| state.bytes < *size) {
                let reason = format!("the file ended after {} of {size} bytes", state.bytes);
                return Err(Failure::passing(reason, None));
            }
        }
        let Some(reason) = expected.difference(file).map_err(broken)? else { return Ok(()) };
        file.set_len(0).map_err(broken)?;
        if here > 0 {
            // What was here before may be from another version of the file.
            return Err(Failure::passing(reason, Some(Duration::ZERO)));
        }
        Err(Failure::Final(Error::Download { url: url.to_owned(), reason }))
    }

    /// Asks for what follows the first `here` bytes, which are in `file`. Returns how many of them stay
    /// there.
    fn request(
        &self,
        url: &str,
        here: u64,
        file: &mut File,
        broken: &impl Fn(std::io::Error) -> Failure,
    ) -> Result<(Response<Body>, u64), Failure> {
        let response = match self.get(url, here) {
            Err(Failure::Passing { reason, pause, .. }) if reason.starts_with("416") => {
                file.set_len(0).map_err(broken)?;
                return Err(Failure::passing(reason, pause));
            }
            response => response?,
        };
        if response.status() == StatusCode::PARTIAL_CONTENT && starts_at(&response) == Some(here) {
            return Ok((response, here));
        }
        // The server sends all of it, or something we have not asked for.
        file.set_len(0).and_then(|()| file.rewind()).map_err(broken)?;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            return Err(Failure::passing("the server sent a wrong part of the file", None));
        }
        Ok((response, 0))
    }

    /// The response to a request for a file from a byte on.
    fn get(&self, url: &str, from: u64) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| url.starts_with(&format!("{}/", self.endpoint))) {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                let reason = Absence::Other(error.to_string());
                Failure::Final(Error::NotThere { url: url.to_owned(), reason })
            }
            error => passing(&error),
        })?;
        let status = response.status();
        let refuse = |reason: fn(String) -> Absence| {
            let reason = reason(status.to_string());
            Err(Failure::Final(Error::NotThere { url: url.to_owned(), reason }))
        };
        match status.as_u16() {
            200 | 206 => Ok(response),
            401 | 403 => refuse(Absence::Denied),
            404 | 410 => refuse(Absence::Unknown),
            // All of the file is here already, or it has become shorter.
            416 => Err(Failure::passing(status.to_string(), Some(Duration::ZERO))),
            408 | 425 | 429 | 500..=599 => {
                let seconds = response.headers().get("Retry-After");
                let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Err(Failure::passing(status.to_string(), seconds.map(Duration::from_secs)))
            }
            _ => Err(Failure::Final(Error::Download { url: url.to_owned(), reason: status.to_string() })),
        }
    }
}

/// Appends what the server sends to `file`.
fn receive(
    response: &mut Response<Body>,
    file: &mut File,
    broken: &impl Fn(std::io::Error) -> Failure,
    state: &mut FetchProgress,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<(), Failure> {
    let mut body = response.body_mut().as_reader();
    let mut bytes = vec![0; 1 << 16];
    loop {
        match body.read(&mut bytes).map_err(|error| passing(&error))? {
            0 => return Ok(()),
            count => file.write_all(&bytes[..count]).map_err(broken)?,
        }
        state.bytes = file.stream_position().map_err(broken)?;
        progress(state);
    }
}

fn passing(error: &dyn std::error::Error) -> Failure {
    Failure::passing(error.to_string(), None)
}

/// First byte of a part, by its `Content-Range: bytes 100-199/200`.
fn starts_at(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get("Content-Range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Where a file is while it is not whole.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".incomplete");
    path.with_file_name(name)
}

/// SHA-256 of a file in hexadecimal digits.
pub(super) fn sha256_of(path: &Path) -> Result<String> {
    File::open(path).and_then(|mut file| digest(&mut file)).map_err(Error::io(path))
}

fn digest(file: &mut File) -> std::io::Result<String> {
    file.rewind()?;
    let (mut digest, mut bytes) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => digest.update(&bytes[..count]),
        }
    }
}
