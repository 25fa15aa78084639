//! One file, from servers that do what servers do.

use std::net::TcpListener;
use std::path::Path;

use super::server::{Behaviour, Page, Server, hex};
use crate::fetch::run::fetch_url;
use crate::{Error, Result};

fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|n| n.to_le_bytes()).collect()
}

/// Downloads `/file` from a server that behaves so, into a folder that may hold something already.
fn download(behaviours: Vec<Behaviour>, folder: &Path, sha256: &str) -> (Result<Vec<u8>>, Vec<String>) {
    let server = Server::start(vec![("/file".to_owned(), Page::File(content()))], behaviours);
    let options = server.options(folder);
    let url = format!("{}/file", server.endpoint);
    let outcome = fetch_url(&url, sha256, folder, &options, &mut |_| {});
    (outcome.map(|path| std::fs::read(path).expect("it is there")), server.seen())
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
    let options = Server::start(vec![], vec![]).options(folder.path());
    let url = format!("http://{closed}/file");
    let outcome = fetch_url(&url, &right, folder.path(), &options, &mut |_| {});
    assert!(matches!(outcome, Err(Error::Unreachable { .. })));
}

#[test]
fn a_second_process_does_not_write_to_the_same_file() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let incomplete = std::fs::File::create(folder.path().join("file.incomplete")).expect("writable");
    incomplete.lock().expect("nobody else");
    let (outcome, _) = download(vec![], folder.path(), &hex(&content()));
    assert!(matches!(outcome, Err(Error::Busy { .. })));
}
