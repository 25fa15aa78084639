//! Models of the hub, in the cache and in folders.

use std::path::Path;

use serde_json::{Value, json};

use super::server::{Behaviour, Page, Server, hex};
use crate::{Absence, Error, FetchOptions, FetchProgress, HubModel, LocalModel, ModelDownload, Result};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const CONFIG: &[u8] = b"{\"model_type\": \"gpt2\"}";

/// Name and contents.
type File<'a> = (&'a str, &'a [u8]);

fn weights() -> Vec<u8> {
    (0..50_000u32).flat_map(|n| n.to_le_bytes()).collect()
}

/// A repository as the hub shows it: small files are served here, large ones by another server.
fn repository(name: &str, files: &[File], elsewhere: Option<&Server>) -> Vec<(String, Page)> {
    let listed: Vec<Value> = files
        .iter()
        .map(|(file, bytes)| {
            let lfs = json!({"sha256": hex(bytes), "size": bytes.len(), "pointerSize": 134});
            let lfs = if file.ends_with(".safetensors") { lfs } else { Value::Null };
            json!({"rfilename": file, "size": bytes.len(), "blobId": &hex(bytes)[..40], "lfs": lfs})
        })
        .collect();
    let listing = json!({"id": name, "sha": COMMIT, "private": false, "gated": false, "siblings": listed});
    let listing = Page::File(listing.to_string().into_bytes());
    let mut pages = vec![(format!("/api/models/{name}/revision/main?blobs=true"), listing)];
    for (file, bytes) in files {
        let page = match elsewhere.filter(|_| file.ends_with(".safetensors")) {
            // Another host by its name.
            Some(server) => {
                let endpoint = server.endpoint.replace("127.0.0.1", "localhost");
                Page::Redirect(format!("{endpoint}/{}", hex(bytes)))
            }
            None => Page::File(bytes.to_vec()),
        };
        pages.push((format!("/{name}/resolve/{COMMIT}/{file}"), page));
    }
    pages
}

fn fetch(name: &str, folder: Option<&Path>, options: &FetchOptions) -> Result<LocalModel> {
    fetch_and_tell(name, folder, options, &mut |_| {})
}

fn fetch_and_tell(
    name: &str,
    folder: Option<&Path>,
    options: &FetchOptions,
    progress: &mut dyn FnMut(&FetchProgress),
) -> Result<LocalModel> {
    ModelDownload::start(&HubModel::parse(name)?, folder, options, progress)?.finish(progress)
}

fn names(model: &LocalModel) -> Vec<String> {
    let name = |path: &std::path::PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    model.files.iter().filter_map(name).collect()
}

const FILES: [File; 6] = [
    (".gitattributes", b"*"),
    ("config.json", CONFIG),
    ("merges.txt", b"a b"),
    ("onnx/model.onnx", b"other"),
    ("pytorch_model.bin", b"other"),
    ("vocab.json", b"{}"),
];

#[test]
fn a_model_lands_in_the_shared_cache_and_is_found_by_both_of_its_names() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let weights = weights();
    let content = (format!("/{}", hex(&weights)), Page::File(weights.clone()));
    // The connection to the server of large files breaks once.
    let large = Server::start(vec![content], vec![Behaviour::Cut(70_000)]);
    let files = [&FILES[..], &[("model.safetensors", &weights[..])]].concat();
    let server = Server::start(repository("gpt2", &files, Some(&large)), vec![]);
    let options = server.options(cache.path());
    let mut last = FetchProgress::default();
    let model = fetch_and_tell("gpt2", None, &options, &mut |progress| last = progress.clone());
    let model = model.expect("it is served");
    let total = (weights.len() + 5) as u64;
    assert_eq!(
        (last.file.as_str(), last.all_bytes, last.all_total),
        ("model.safetensors", total, Some(total))
    );

    let repository = cache.path().join("models--gpt2");
    assert_eq!(model.path, repository.join("snapshots").join(COMMIT));
    assert_eq!(names(&model), ["config.json", "model.safetensors", "vocab.json", "merges.txt"]);
    assert_eq!((model.missing.as_deref(), model.commit.as_deref()), (None, Some(COMMIT)));
    assert_eq!(std::fs::read(model.path.join("model.safetensors")).expect("a link"), weights);
    assert!(repository.join("blobs").join(hex(&weights)).is_file());
    let reference = std::fs::read_to_string(repository.join("refs/main")).expect("written");
    assert_eq!(reference, COMMIT);
    // Resumed, and without the token of the hub.
    let path = format!("/{}", hex(&weights));
    assert_eq!(large.seen(), [path.clone(), format!("{path} bytes=70000-")]);

    for name in ["gpt2", "openai-community/gpt2", "hf://gpt2@main", &format!("gpt2@{COMMIT}")] {
        let found = HubModel::parse(name).expect("a name").in_cache(&options);
        assert_eq!(found.as_ref(), Some(&model), "{name}");
    }
    assert_eq!(HubModel::parse("gpt2-xl").expect("a name").in_cache(&options), None);
    // What is there is not fetched again, under whatever name.
    let before = server.seen().len();
    assert_eq!(fetch("openai-community/gpt2", None, &options).expect("it is there"), model);
    assert_eq!(server.seen().len(), before + 1);
    let offline = FetchOptions { offline: true, ..options };
    let refused = fetch("gpt2", None, &offline);
    assert!(matches!(refused, Err(Error::NotThere { reason: Absence::Offline, .. })));
}

#[test]
fn a_model_that_moved_is_followed_and_its_shards_are_those_of_the_index() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let index = json!({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}});
    let index = index.to_string();
    let files = [
        ("config.json", CONFIG),
        ("model-00001-of-00002.safetensors", b"one"),
        ("model-00002-of-00002.safetensors", b"two"),
        ("model.safetensors.index.json", index.as_bytes()),
        ("other.safetensors", b"three"),
    ];
    let mut pages = repository("new/name", &files, None);
    let moved: Vec<_> = pages
        .iter()
        .map(|(path, _)| (path.replace("new/name", "old/name"), Page::Redirect(path.clone())))
        .collect();
    pages.extend(moved);
    // The hub forgets the question on the way.
    let plain = "/api/models/new/name/revision/main";
    let siblings: Vec<Value> = files.iter().map(|(file, _)| json!({"rfilename": file})).collect();
    let listing = json!({"id": "new/name", "sha": COMMIT, "siblings": siblings}).to_string();
    pages.push((plain.to_owned(), Page::File(listing.into_bytes())));
    let asked = "/api/models/old/name/revision/main?blobs=true";
    pages.iter_mut().filter(|(path, _)| path == asked).for_each(|page| {
        page.1 = Page::Redirect(plain.to_owned());
    });
    let server = Server::start(pages, vec![]);
    let model = fetch("old/name", None, &server.options(cache.path())).expect("it is served");
    assert!(model.path.starts_with(cache.path().join("models--old--name")));
    assert!(server.seen().iter().all(|request| request.ends_with("Bearer secret")), "the same host");
    assert_eq!(
        names(&model),
        [
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors"
        ]
    );
    #[cfg(unix)]
    assert!(model.path.join("config.json").is_symlink(), "contents by their hash");
    // A part of a model is not the model.
    std::fs::remove_file(model.path.join("model-00002-of-00002.safetensors")).expect("it is there");
    assert_eq!(LocalModel::of(&model.path).missing.as_deref(), Some("model-00002-of-00002.safetensors"));
    let again = fetch("old/name", None, &server.options(cache.path())).expect("it is served");
    assert_eq!(again.missing, None);
}

#[test]
fn names_that_the_hub_does_not_give_are_told_apart() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let listing = |name: &str| format!("/api/models/{name}/revision/main?blobs=true");
    let pages = vec![
        (listing("a/private"), Page::Refusal(401, "RepoNotFound")),
        (listing("a/denied"), Page::Refusal(403, "")),
        (listing("a/gated"), Page::Refusal(403, "GatedRepo")),
    ];
    let server = Server::start(pages, vec![]);
    let refused = |name: &str| match fetch(name, None, &server.options(cache.path())) {
        Err(Error::NotThere { url, reason }) => {
            assert_eq!(url, format!("{}/{name}", server.endpoint));
            reason
        }
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused("a/private"), Absence::Unknown(_)));
    assert!(matches!(refused("a/denied"), Absence::Denied(_)));
    assert!(matches!(refused("a/gated"), Absence::Gated(_)));
    assert!(matches!(refused("gpt2"), Absence::Unknown(_)));
    assert!(!cache.path().join("models--gpt2").exists());
}

#[test]
fn what_cannot_be_read_is_refused_before_anything_is_downloaded() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let cases: [(&str, &[File], &str); 3] = [
        ("a/pickle", &FILES, "pytorch_model.bin, weights in PyTorch's own format"),
        ("a/adapter", &[("adapter_model.safetensors", b""), ("adapter_config.json", b"")], "an adapter"),
        ("a/notes", &[("README.md", b"")], "no weights among its 1 files"),
    ];
    for (name, files, words) in cases {
        let server = Server::start(repository(name, files, None), vec![]);
        let error = fetch(name, None, &server.options(folder.path())).expect_err("nothing to read");
        assert!(matches!(error, Error::OtherWeights { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
    let server = Server::start(repository("a/quantised", &[("x.gguf", b""), ("y.GGUF", b"")], None), vec![]);
    let error = fetch("a/quantised", None, &server.options(folder.path())).expect_err("which one?");
    assert!(matches!(error, Error::GgufFiles { files, .. } if files == ["x.gguf", "y.GGUF"]));
    let server = Server::start(repository("a/b", &[("model.safetensors", b"")], None), vec![]);
    let error = fetch("a/b", None, &server.options(folder.path())).expect_err("no architecture");
    assert!(error.to_string().contains("no config.json"), "{error}");
}

#[test]
fn a_folder_keeps_the_model_that_it_has() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let files = [("config.json", CONFIG), ("model.safetensors", b"weights")];
    let server = Server::start(repository("a/b", &files, None), vec![]);
    let options = server.options(path);
    // What another version left behind is not taken for this one.
    std::fs::write(path.join("model.safetensors"), "another").expect("writable");
    let model = fetch("a/b", Some(path), &options).expect("it is served");
    assert_eq!((model.path.as_path(), model.commit.as_deref()), (path, Some(COMMIT)));
    assert_eq!(std::fs::read(path.join("model.safetensors")).expect("it is there"), b"weights");
    fetch("a/b", Some(path), &options).expect("it is there");
    assert_eq!(server.seen().iter().filter(|path| path.contains("model.safetensors")).count(), 1);

    let files = [("config.json", &b"{}"[..]), ("model.safetensors", b"larger")];
    let other = Server::start(repository("a/c", &files, None), vec![]);
    let refused = fetch("a/c", Some(path), &other.options(path));
    assert!(matches!(refused, Err(Error::OtherModel { .. })), "{refused:?}");
    assert_eq!(std::fs::read(path.join("model.safetensors")).expect("it is there"), b"weights");
}

#[test]
fn whoever_comes_second_waits_for_the_first() {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let files = [("config.json", CONFIG), ("model.safetensors", b"weights")];
    let server = Server::start(repository("a/b", &files, None), vec![]);
    // As huggingface_hub does it.
    let locks = cache.path().join(".locks/models--a--b");
    std::fs::create_dir_all(&locks).expect("writable");
    let lock = std::fs::File::create(locks.join(format!("{}.lock", hex(b"weights")))).expect("writable");
    lock.lock().expect("nobody else");
    let mut waited = false;
    let options = server.options(cache.path());
    let model = fetch_and_tell("a/b", None, &options, &mut |progress| {
        if progress.waiting {
            waited = true;
            let blob = cache.path().join("models--a--b/blobs").join(hex(b"weights"));
            std::fs::write(blob, "weights").expect("the other process is done");
            lock.unlock().expect("it was locked");
        }
    });
    assert!(waited && model.expect("it is served").missing.is_none());
    assert!(!server.seen().iter().any(|path| path.contains("model.safetensors")));
}
