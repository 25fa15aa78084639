//! Datasets of the hub, in the cache and in folders.

use super::server::{Behaviour, Page, Server, hex};
use crate::{CORPORA, Error, FetchOptions, HubDataset, Origin, fetch};

const LISTING: &str = "/api/datasets/someone/stories/revision/main?blobs=true";

/// A dataset with two files of stories and some that are not.
fn hub(behaviours: Vec<Behaviour>) -> Server {
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
    let files = vec![
        (LISTING.to_owned(), Page::File(listing.to_string().into_bytes())),
        (format!("{resolve}/data/a.jsonl"), Page::File(a)),
        (format!("{resolve}/data/b.jsonl"), Page::File(b)),
    ];
    Server::start(files, behaviours)
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
