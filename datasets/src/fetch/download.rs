//! One file over HTTP: resumed where it stopped, tried again when the network fails, checked at the end.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use super::FetchProgress;
use super::client::{Client, Failure};
use crate::error::{Error, Result};

/// What is known of a file before it is here.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pub size: Option<u64>,
    /// In hexadecimal digits.
    pub sha256: Option<String>,
}

impl Expected {
    /// Whether the file at `path` is known to be this one.
    pub(super) fn is_at(&self, path: &Path) -> Result<bool> {
        match &self.sha256 {
            Some(sha256) if path.is_file() => Ok(sha256_of(path)? == *sha256),
            _ => Ok(false),
        }
    }

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

impl Client {
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
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::Busy { path: partial });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut state = FetchProgress { file: name, total: expected.size, ..FetchProgress::default() };
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
        if state.retry.is_some() {
            progress(state);
        }
        let size = expected.size;
        let broken = |error: std::io::Error| Failure::Final(unwritten(partial, size, error));
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
}

/// The error of a file that could not be written to the end.
fn unwritten(path: &Path, size: Option<u64>, source: std::io::Error) -> Error {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Error::NoSpace { path: path.to_owned(), size, source }
        }
        _ => Error::io(path)(source),
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
        match body.read(&mut bytes).map_err(|error| Failure::passing(error.to_string(), None))? {
            0 => return Ok(()),
            count => file.write_all(&bytes[..count]).map_err(broken)?,
        }
        state.bytes = file.stream_position().map_err(broken)?;
        progress(state);
    }
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
fn sha256_of(path: &Path) -> Result<String> {
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
