//! A server of our own that plays the hub, and misbehaves on request.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::FetchOptions;

/// How the server treats one request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Behaviour {
    /// As it should: all of the file, or the part that is asked for.
    Serve,
    /// All of the file, whatever is asked for.
    IgnoreRange,
    /// A status, and when to come again.
    Status(u16, Option<u64>),
    /// Promises all, then closes the connection after so many bytes.
    Cut(usize),
    /// Goes silent after so many bytes.
    Stall(usize),
    /// Other bytes of the same length.
    Garble,
}

/// What lies under a path.
#[derive(Clone, Debug)]
pub(super) enum Page {
    File(Vec<u8>),
    /// It is elsewhere.
    Redirect(String),
    /// A status with the hub's own code for what is wrong.
    Refusal(u16, &'static str),
}

/// A server on this machine; `behaviours` are for requests one by one, those after the last are served.
pub(super) struct Server {
    pub(super) endpoint: String,
    /// Path, `Range` and `Authorization` of every request.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn start(pages: Vec<(String, Page)>, behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut behaviours = VecDeque::from(behaviours);
            for connection in listener.incoming() {
                let connection = connection.expect("this machine");
                let Some((path, range, token)) = request(&connection) else { continue };
                let noted = [Some(path.clone()), range.clone(), token];
                record
                    .lock()
                    .expect("no panics")
                    .push(noted.into_iter().flatten().collect::<Vec<_>>().join(" "));
                let behaviour = behaviours.pop_front().unwrap_or(Behaviour::Serve);
                let page = pages.iter().find(|(name, _)| *name == path);
                let page = page.map_or(Page::Refusal(404, "EntryNotFound"), |(_, page)| page.clone());
                // A server that is silent must not keep others waiting.
                std::thread::spawn(move || answer(connection, range.as_deref(), &page, behaviour));
            }
        });
        Self { endpoint, seen }
    }

    pub(super) fn options(&self, cache: &Path) -> FetchOptions {
        FetchOptions {
            endpoint: self.endpoint.clone(),
            cache: cache.to_owned(),
            token: Some("secret".to_owned()),
            offline: false,
            attempts: 4,
            backoff: Duration::from_millis(1),
            stall: Duration::from_millis(300),
        }
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panics").clone()
    }
}

/// Path, `Range` and `Authorization` of a request.
fn request(connection: &TcpStream) -> Option<(String, Option<String>, Option<String>)> {
    let mut lines = BufReader::new(connection).lines().map_while(std::result::Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let (mut range, mut token) = (None, None);
    for line in lines.take_while(|line| !line.is_empty()) {
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("Range") => range = Some(value.to_owned()),
            Some((name, value)) if name.eq_ignore_ascii_case("Authorization") => {
                token = Some(value.to_owned())
            }
            _ => {}
        }
    }
    Some((path, range, token))
}

fn answer(mut connection: TcpStream, range: Option<&str>, page: &Page, behaviour: Behaviour) {
    let (bytes, behaviour) = match page {
        Page::File(bytes) => (&bytes[..], behaviour),
        Page::Redirect(location) => {
            let head = format!("HTTP/1.1 307 Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n");
            let _ = write!(connection, "{head}Connection: close\r\n\r\n");
            return;
        }
        Page::Refusal(status, code) => {
            let head = format!("HTTP/1.1 {status} No\r\nX-Error-Code: {code}\r\nContent-Length: 0\r\n");
            let _ = write!(connection, "{head}Connection: close\r\n\r\n");
            return;
        }
    };
    let from: Option<usize> =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let size = bytes.len();
    let garbled = vec![b'?'; size];
    let whole = ("200 OK".to_owned(), bytes);
    let (head, body) = match (behaviour, from) {
        (Behaviour::Status(code, None), _) => (format!("{code} No"), &[][..]),
        (Behaviour::Status(code, Some(pause)), _) => (format!("{code} No\r\nRetry-After: {pause}"), &[][..]),
        (Behaviour::Garble, _) => ("200 OK".to_owned(), &garbled[..]),
        (Behaviour::IgnoreRange, _) | (_, None) => whole,
        (_, Some(from)) if from >= size => ("416 Range Not Satisfiable".to_owned(), &[][..]),
        (_, Some(from)) => (
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{size}", size - 1),
            &bytes[from..],
        ),
    };
    let sent = match behaviour {
        Behaviour::Cut(count) | Behaviour::Stall(count) => &body[..count.min(body.len())],
        _ => body,
    };
    let _ =
        write!(connection, "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())
            .and_then(|()| connection.write_all(sent));
    if matches!(behaviour, Behaviour::Stall(_)) {
        std::thread::sleep(Duration::from_secs(3));
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
