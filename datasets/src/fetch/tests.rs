//! The real client against a server of our own that misbehaves on request.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::download::Client;
use super::run::fetch_url;
use super::*;
use crate::{Error, Result};

/// How the server treats one request.
#[derive(Clone, Copy, Debug)]
enum Behaviour {
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

/// A server on this machine; `behaviours` are for requests one by one, those after the last are served.
struct Hub {
    endpoint: String,
    /// Path, `Range` and `Authorization` of every request.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: Vec<(&'static str, Vec<u8>)>, behaviours: Vec<Behaviour>) -> Self {
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
                let file = files.iter().find(|(name, _)| *name == path);
                let (bytes, behaviour) = match file {
                    Some((_, bytes)) => (bytes.clone(), behaviour),
                    None => (Vec::new(), Behaviour::Status(404, None)),
                };
                // A server that is silent must not keep others waiting.
                std::thread::spawn(move || answer(connection, range.as_deref(), &bytes, behaviour));
            }
        });
        Self { endpoint, seen }
    }

    fn options(&self, cache: &Path) -> FetchOptions {
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

    fn seen(&self) -> Vec<String> {
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

fn answer(mut connection: TcpStream, range: Option<&str>, bytes: &[u8], behaviour: Behaviour) {
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

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|n| n.to_le_bytes()).collect()
}

/// Downloads `/file` from a server that behaves so, into a folder that may hold something already.
fn download(behaviours: Vec<Behaviour>, folder: &Path, sha256: &str) -> (Result<Vec<u8>>, Vec<String>) {
    let hub = Hub::start(vec![("/file", content())], behaviours);
    let options = hub.options(folder);
    let url = format!("{}/file", hub.endpoint);
    let outcome = fetch_url(&url, sha256, folder, &Client::new(&options), &options, &mut |_| {});
    (outcome.map(|path| std::fs::read(path).expect("it is there")), hub.seen())
}

#[test]
fn a_download_survives_what_networks_do() {
    use Behaviour::*;
    let right = hex(&content());
    let cases: [(&str, Vec<Behaviour>, usize); 6] = [
        ("nothing", vec![], 1),
        ("the connection closes twice", vec![Cut(100_000), Cut(500_000)], 3),
        ("the server goes silent", vec![Stall(100_000)], 2),
        ("too many requests, then an error", vec![Status(429, Some(0)), Status(500, None)], 3),
        ("ranges are ignored", vec![Cut(100_000), IgnoreRange], 2),
        ("more failures than attempts, but each brings some bytes", vec![Cut(1000); 6], 7),
    ];
    for (what, behaviours, requests) in cases {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (outcome, seen) = download(behaviours, folder.path(), &right);
        assert_eq!(outcome.unwrap_or_else(|error| panic!("{what}: {error}")), content(), "{what}");
        assert_eq!(seen.len(), requests, "{what}: {seen:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "{what}");
    }
}

#[test]
fn a_download_continues_where_an_earlier_program_stopped() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let incomplete = folder.path().join("file.incomplete");
    std::fs::write(&incomplete, &content()[..123_456]).expect("writable");
    let (outcome, seen) = download(vec![], folder.path(), &hex(&content()));
    assert_eq!(outcome.expect("it is served"), content());
    assert_eq!(seen, ["/file bytes=123456- Bearer secret"]);

    // Something else under that name, even if it is longer, costs a second request.
    for length in [1000, content().len(), content().len() + 1] {
        std::fs::remove_file(folder.path().join("file")).expect("it is there");
        std::fs::write(&incomplete, vec![7; length]).expect("writable");
        assert_eq!(download(vec![], folder.path(), &hex(&content())).0.expect("it is served"), content());
    }
}

#[test]
fn failures_for_good_are_told_and_leave_no_file() {
    use Behaviour::*;
    let right = hex(&content());
    let refused = |behaviours: Vec<Behaviour>, sha256: &str, words: &[&str]| {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (outcome, seen) = download(behaviours, folder.path(), sha256);
        let error = outcome.expect_err("it cannot work");
        let message = format!("{error} {error:?}");
        for word in words {
            assert!(message.contains(word), "no {word:?} in: {message}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        seen.len()
    };
    assert_eq!(refused(vec![Status(404, None)], &right, &["/file: 404", "Unknown("]), 1);
    assert_eq!(refused(vec![Status(401, None)], &right, &["401", "Denied("]), 1);
    assert_eq!(refused(vec![Status(503, None); 9], &right, &["503", "Download {"]), 4);
    assert_eq!(refused(vec![Garble], &right, &["SHA-256", &right]), 1);
    assert_eq!(refused(vec![Stall(0); 4], &right, &["imeout"]), 4);
    // Nobody listens.
    let closed =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let options = Hub::start(vec![], vec![]).options(folder.path());
    let url = format!("http://{closed}/file");
    let outcome = fetch_url(&url, &right, folder.path(), &Client::new(&options), &options, &mut |_| {});
    assert!(matches!(outcome, Err(Error::Download { .. })));
}

const LISTING: &str = "/api/datasets/someone/stories/revision/main?blobs=true";

/// A dataset with two files of stories and some that are not.
fn hub(behaviours: Vec<Behaviour>) -> Hub {
    let (a, b) = (b"{\"text\": \"one\"}\n".to_vec(), b"{\"text\": \"two\"}\n".to_vec());
    let listing = serde_json::json!({
        "id": "someone/stories",
        "sha": "0123456789abcdef0123456789abcdef01234567",
        "siblings": [
            {"rfilename": "README.md", "size": 3, "blobId": "aa"},
            {"rfilename": ".gitattributes", "size": 3, "blobId": "ab"},
            {"rfilename": "data/a.jsonl", "size": a.len(), "blobId": "ac", "lfs": {"sha256": hex(&a), "size": a.len()}},
            {"rfilename": "data/b.jsonl", "size": b.len(), "blobId": "ad"},
        ],
    });
    let resolve = "/datasets/someone/stories/resolve/0123456789abcdef0123456789abcdef01234567";
    let path = |name: &str| -> &'static str { Box::leak(format!("{resolve}/{name}").into_boxed_str()) };
    let files = vec![
        (LISTING, listing.to_string().into_bytes()),
        (path("data/a.jsonl"), a),
        (path("data/b.jsonl"), b),
    ];
    Hub::start(files, behaviours)
}

#[test]
fn a_dataset_lands_in_the_shared_cache_and_is_found_without_network() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let hub = hub(vec![Behaviour::Status(500, None)]);
    let options = hub.options(cache.path());
    let get = |name: &str, options: &FetchOptions| fetch(name, None, options, &mut |_| {});
    let fetched = get("hf://datasets/someone/stories", &options).expect("it is served");
    // The layout of huggingface_hub.
    let repository = cache.path().join("datasets--someone--stories");
    let snapshot = repository.join("snapshots/0123456789abcdef0123456789abcdef01234567");
    assert_eq!(fetched.path, snapshot.join("data"));
    assert_eq!(fetched.files, [snapshot.join("data/a.jsonl"), snapshot.join("data/b.jsonl")]);
    let mut documents = Vec::new();
    for file in crate::Source::new(&fetched.path).files().expect("it is there") {
        let mut keep = |document: &str| {
            documents.push(document.to_owned());
            Ok(())
        };
        file.documents(&crate::ReadOptions::default(), &mut keep).expect("text");
    }
    assert_eq!(documents, ["one", "two"]);
    let reference = std::fs::read_to_string(repository.join("refs/main")).expect("written");
    assert_eq!(reference, "0123456789abcdef0123456789abcdef01234567");
    #[cfg(unix)]
    assert!(std::fs::read_link(&fetched.files[0]).expect("a link").starts_with("../../../blobs"));

    // What is there is not fetched again, and offline nothing is asked at all.
    let before = hub.seen().len();
    assert_eq!(get("hf://datasets/someone/stories", &options).expect("it is there"), fetched);
    assert_eq!(hub.seen().len(), before + 1);
    let offline = FetchOptions { offline: true, ..options.clone() };
    assert_eq!(get("hf://datasets/someone/stories", &offline).expect("it is there"), fetched);
    assert!(matches!(get("hf://datasets/someone/else", &offline), Err(Error::NotThere { .. })));
    assert!(matches!(
        fetch("tinyshakespeare", Some(cache.path()), &offline, &mut |_| {}),
        Err(Error::NotThere { .. })
    ));
    assert_eq!(hub.seen().len(), before + 1);
}

#[test]
fn some_files_of_a_dataset_go_to_a_folder() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let hub = hub(vec![]);
    let options = hub.options(folder.path());
    let get = |name: &str| fetch(name, Some(folder.path()), &options, &mut |_| {});
    let fetched = get("hf://datasets/someone/stories@main/data/b.*").expect("it is served");
    assert_eq!(fetched.path, folder.path().join("data/b.jsonl"));
    let message = get("hf://datasets/someone/stories/*.parquet").expect_err("there is none").to_string();
    assert!(message.contains("none of its 4 files matches *.parquet"), "{message}");
    assert!(matches!(get("hf://datasets/someone/missing"), Err(Error::NotThere { .. })));
    for wrong in ["hf://datasets/someone", "hf://models/a/b", "hf://datasets/../b", "shakespeare"] {
        assert!(matches!(get(wrong), Err(Error::UnknownCorpus { .. })), "{wrong}");
    }
}

#[test]
fn every_known_corpus_has_an_address() {
    for corpus in CORPORA {
        match corpus.origin {
            Origin::Hub(address) => assert!(HubDataset::parse(address).is_ok(), "{address}"),
            Origin::Url { url, sha256 } => {
                assert!(url.starts_with("https://") && sha256.len() == 64, "{url}");
            }
        }
    }
}
