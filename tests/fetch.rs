//! `kiln fetch`, and `--model` with the names of what it fetched, beside a server that plays the Hugging Face hub.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use common::{stdout, train};
use serde_json::{Value, json};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A server with repositories of models; says what it was asked for.
fn hub(repositories: &[(&str, &Path)]) -> (String, Arc<Mutex<Vec<String>>>) {
    let mut pages = Vec::new();
    for (name, folder) in repositories {
        let mut siblings = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            let file = path.file_name().expect("a name").to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).expect("readable");
            siblings.push(
                json!({"rfilename": file, "size": bytes.len(), "blobId": format!("{:040x}", pages.len())}),
            );
            pages.push((format!("/{name}/resolve/{COMMIT}/{file}"), bytes));
        }
        let listing = json!({"id": name, "sha": COMMIT, "siblings": siblings}).to_string();
        pages.push((format!("/api/models/{name}/revision/main?blobs=true"), listing.into_bytes()));
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("this machine");
            let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
            let line = lines.next().unwrap_or_default();
            lines.find(String::is_empty);
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let page = pages.iter().find(|(name, _)| *name == path);
            record.lock().expect("no panics").push(path);
            let (status, bytes) = match page {
                Some((_, bytes)) => ("200 OK", &bytes[..]),
                None => ("401 Unauthorized\r\nX-Error-Message: Invalid username or password.", &[][..]),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
            let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(bytes));
        }
    });
    (endpoint, seen)
}

/// A model to serve, and a machine without one.
struct Machine {
    folder: tempfile::TempDir,
    endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path();
        let made = path.join("made");
        std::fs::create_dir_all(&made).expect("writable");
        stdout(&train(
            &made,
            ["--run-dir", "run", "--set", "training.steps=1", "--set", "tokenizer.kind=byte"],
        ));
        let foreign = path.join("foreign");
        std::fs::create_dir(&foreign).expect("writable");
        std::fs::write(foreign.join("config.json"), "{\"model_type\": \"mamba\"}").expect("writable");
        std::fs::write(foreign.join("model.safetensors"), "never read").expect("writable");
        let model = made.join("run/model");
        let gguf = path.join("gguf");
        std::fs::create_dir(&gguf).expect("writable");
        for file in ["small.f16.gguf", "small.f32.gguf"] {
            let to = gguf.join(file).to_string_lossy().into_owned();
            stdout(&common::kiln(&made, ["export", "--model", "run", "--to", &to, "--dtype", &file[6..9]]));
        }
        std::fs::write(gguf.join("other.gguf"), "no model").expect("writable");
        let (endpoint, seen) = hub(&[
            ("gpt2", &model),
            ("someone/small", &model),
            ("someone/foreign", &foreign),
            ("someone/small-gguf", &gguf),
        ]);
        std::fs::create_dir(path.join("here")).expect("writable");
        Self { folder, endpoint, seen }
    }

    fn here(&self) -> PathBuf {
        self.folder.path().join("here")
    }

    fn kiln(&self, args: &[&str]) -> Output {
        self.kiln_with(&self.endpoint, args)
    }

    fn kiln_with(&self, endpoint: &str, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        for variable in
            ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY"]
        {
            command.env_remove(variable);
        }
        command.env("HF_HOME", self.folder.path().join("huggingface")).env("HF_ENDPOINT", endpoint);
        command.args(args).current_dir(self.here()).output().expect("the binary runs")
    }

    /// What a command that is refused says; it exits with `code`.
    fn refused(&self, code: i32, args: &[&str], words: &[&str]) {
        check_refusal(&self.kiln(args), code, words);
    }
}

fn check_refusal(output: &Output, code: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for word in words.iter().chain(&["hint:"]) {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

#[test]
fn a_fetched_model_goes_by_its_name_wherever_a_model_is_taken() {
    let machine = Machine::new();
    let fetched = machine.kiln(&["fetch", "gpt2"]);
    let path = PathBuf::from(stdout(&fetched).trim_end());
    let cache = machine.folder.path().join("huggingface/hub");
    assert_eq!(path, cache.join("models--gpt2/snapshots").join(COMMIT));
    let messages = String::from_utf8_lossy(&fetched.stderr);
    assert!(messages.contains("model.safetensors, "), "{messages}");
    assert!(messages.contains("kiln generate --model gpt2 --prompt"), "{messages}");

    let asked = machine.seen.lock().expect("no panics").len();
    let text = machine.here().join("text.txt");
    std::fs::write(&text, "The kiln is hot. ".repeat(40)).expect("writable");
    for args in [
        &["info", "gpt2"][..],
        &["generate", "gpt2", "--prompt", "the", "--max-tokens", "2"],
        &["generate", "--model", "openai-community/gpt2", "--prompt", "the", "--max-tokens", "2"],
        &["score", "--model", "gpt2", "--text", "the"],
        &["eval", "gpt2", "--data", "text.txt"],
        &["export", "--model", "gpt2@main", "--to", "exported"],
        &["bench", "decode", "--model", "gpt2", "--context", "2", "--tokens", "1"],
        &["tokenize", "encode", "--tokenizer", "gpt2@main", "--text", "the"],
        &["train", "text.txt", "--init-from", "gpt2", "--steps", "1", "--plain", "--run-dir", "mine"],
        &["fetch", "gpt2", "--offline"],
    ] {
        stdout(&machine.kiln(args));
    }
    assert_eq!(machine.seen.lock().expect("no panics").len(), asked, "nothing is downloaded unasked");

    // A run of that name comes first, and a folder before it.
    std::fs::create_dir_all(machine.here().join("runs/gpt2")).expect("writable");
    machine.refused(2, &["score", "--model", "gpt2", "--tokens", "1,2"], &["runs/gpt2: no model here"]);
    let shown = machine.kiln(&["fetch", "gpt2", "--json"]);
    assert!(String::from_utf8_lossy(&shown.stderr).contains(&path.display().to_string()));
    let object: Value = serde_json::from_str(&stdout(&shown)).expect("one object");
    assert_eq!(object["path"], path.display().to_string());
    assert_eq!((&object["model"], &object["commit"]), (&json!("gpt2"), &json!(COMMIT)));
    assert!(object["files"].as_array().expect("a list").contains(&json!("config.json")));
    assert!(object["bytes"].as_u64().is_some_and(|bytes| bytes > 1000));
}

#[test]
fn what_is_not_here_is_said_with_the_command_that_fetches_it() {
    let machine = Machine::new();
    machine.refused(
        2,
        &["generate", "--model", "gpt2", "-p", "a"],
        &["gpt2: no model here", "`kiln fetch gpt2`"],
    );
    machine.refused(2, &["info", "someone/small"], &["`kiln fetch someone/small`"]);
    machine.refused(2, &["train", "--init-from", "gpt2-xl"], &["`kiln fetch gpt2-xl`"]);
    machine.refused(2, &["verify", "gpt2"], &["`kiln fetch gpt2`"]);
    let folder = machine.kiln(&["score", "--model", "runs/small", "--text", "a"]);
    assert!(!String::from_utf8_lossy(&folder.stderr).contains("`kiln fetch runs/small`"));
    machine.refused(2, &["fetch", "gpt2", "--offline"], &["gpt2: not here yet", "--offline"]);
    assert!(machine.seen.lock().expect("no panics").is_empty(), "nothing is downloaded unasked");

    machine.refused(2, &["fetch", "gtp2"], &["gtp2: 401", "check the name", "HF_TOKEN"]);
    machine.refused(2, &["fetch", "a/b/c"], &["\"a/b/c\"", "OWNER/NAME"]);
    machine.refused(2, &["fetch", "tinystories"], &["kiln data fetch tinystories"]);
    machine.refused(2, &["fetch", "hf://datasets/a/b"], &["kiln data fetch hf://datasets/a/b"]);
    machine.refused(2, &["data", "fetch", "hf://someone/small"], &["kiln fetch someone/small"]);
    machine.refused(2, &["fetch", "gpt2@v1", "--revision", "v2"], &["gpt2@v1", "v2"]);
    let bare = machine.kiln(&["fetch"]);
    assert!(String::from_utf8_lossy(&bare.stderr).contains("kiln fetch gpt2 "));

    // An architecture that nothing here can run: its weights stay where they are.
    machine.refused(2, &["fetch", "someone/foreign"], &["someone/foreign", "\"mamba\""]);
    let seen = machine.seen.lock().expect("no panics").clone();
    assert!(!seen.iter().any(|path| path.contains("model.safetensors")), "{seen:?}");
}

#[test]
fn without_a_network_there_is_what_was_fetched() {
    let machine = Machine::new();
    let closed =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let nobody = format!("http://{closed}");
    let refused = machine.kiln_with(&nobody, &["fetch", "someone/small"]);
    check_refusal(&refused, 1, &["cannot be reached", "save_pretrained", "HF_ENDPOINT"]);

    let path = stdout(&machine.kiln(&["fetch", "someone/small"]));
    let again = machine.kiln_with(&nobody, &["fetch", "someone/small"]);
    assert_eq!(stdout(&again), path);
    assert!(String::from_utf8_lossy(&again.stderr).contains("what was fetched before"));

    // Half of a model says so.
    std::fs::remove_file(Path::new(path.trim_end()).join("model.safetensors")).expect("it is there");
    machine.refused(
        2,
        &["score", "--model", "someone/small", "--text", "a"],
        &["model.safetensors", "`kiln fetch someone/small`"],
    );
    machine.refused(2, &["fetch", "someone/small", "--offline"], &["model.safetensors"]);
    let folder = machine.kiln(&["fetch", "someone/small", "--out", "small"]);
    assert_eq!(stdout(&folder), "small\n");
    assert!(String::from_utf8_lossy(&folder.stderr).contains("--model small"));
    stdout(&machine.kiln(&["score", "--model", "small", "--text", "the"]));
}

#[test]
fn one_gguf_file_of_a_repository_is_a_model() {
    let machine = Machine::new();
    let all = "other.gguf, small.f16.gguf, small.f32.gguf";
    let refused = machine.kiln(&["fetch", "someone/small-gguf"]);
    check_refusal(&refused, 2, &["someone/small-gguf", "`kiln fetch someone/small-gguf "]);
    for file in all.split(", ") {
        assert!(String::from_utf8_lossy(&refused.stderr).contains(file), "{file}");
    }
    machine.refused(
        2,
        &["fetch", "someone/small-gguf", "small.gguf"],
        &["no GGUF file small.gguf", "small.f16.gguf"],
    );
    machine.refused(2, &["fetch", "someone/small-gguf", "other.gguf"], &["other.gguf", "not a GGUF file"]);
    machine.refused(2, &["fetch", "someone/small-gguf", "small.f16.gguf", "--offline"], &["not here yet"]);

    let fetched = machine.kiln(&["fetch", "someone/small-gguf", "small.f16.gguf", "--out", "files"]);
    assert_eq!(stdout(&fetched), "files/small.f16.gguf\n");
    assert!(String::from_utf8_lossy(&fetched.stderr).contains("--model files/small.f16.gguf --prompt"));
    stdout(&machine.kiln(&["score", "--model", "files/small.f16.gguf", "--text", "the"]));
    let again = ["fetch", "someone/small-gguf", "small.f16.gguf", "--out", "files", "--offline"];
    assert_eq!(stdout(&machine.kiln(&again)), "files/small.f16.gguf\n");
}

#[test]
fn a_gguf_file_in_the_cache_goes_by_the_name_of_its_repository() {
    let machine = Machine::new();
    let fetch = |file: &str| {
        let object = stdout(&machine.kiln(&["fetch", "someone/small-gguf", file, "--json"]));
        let object: Value = serde_json::from_str(&object).expect("one object");
        assert_eq!((&object["files"], &object["commit"]), (&json!([file]), &json!(COMMIT)));
        object["path"].as_str().expect("a path").to_owned()
    };
    let path = fetch("small.f32.gguf");
    assert!(
        path.ends_with(&format!("models--someone--small-gguf/snapshots/{COMMIT}/small.f32.gguf")),
        "{path}"
    );
    let score = |model: &str| stdout(&machine.kiln(&["score", "--model", model, "--text", "the", "--json"]));
    assert_eq!(score("someone/small-gguf"), score(&path));
    assert_eq!(
        stdout(&machine.kiln(&["fetch", "someone/small-gguf", "small.f32.gguf", "--offline"])).trim_end(),
        path
    );
    // Of two, one is to be named.
    fetch("small.f16.gguf");
    let words = ["2 GGUF files", "--model", "small.f16.gguf"];
    machine.refused(2, &["score", "--model", "someone/small-gguf", "--text", "a"], &words);
}
