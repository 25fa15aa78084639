//! `kiln data`, driven as users drive it.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{kiln, stdout, train};

/// Files of a folder, hidden ones left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("it was written").map(|entry| entry.expect("readable"));
    let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    named
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, path)| (name, std::fs::read(path).expect("a file")))
        .collect()
}

/// JSON lines of `bytes` together, no two alike.
fn corpus(path: &Path, bytes: usize) {
    let mut text = String::new();
    for n in 0.. {
        if text.len() >= bytes {
            break;
        }
        let words = "once upon a time there was a kiln that fired clay ".repeat(n % 40 + 1);
        text.push_str(&format!("{{\"text\": \"story {n}: {words}\"}}\n"));
    }
    std::fs::write(path, text).expect("writable");
}

const PREPARE: [&str; 6] = ["data", "prepare", "--data", "in", "--tokenizer", "gpt2"];

#[test]
fn prepare_then_look_then_train_then_resume() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("in")).expect("writable");
    corpus(&path.join("in/a.jsonl"), 60_000);
    std::fs::write(path.join("in/b.md"), "# A kiln\n\nIt is hot.\n").expect("writable");
    let arguments = ["data", "prepare", "--data", "in", "--tokenizer", "byte", "--out", "out", "--json"];
    let manifest: serde_json::Value =
        serde_json::from_str(&stdout(&kiln(path, arguments))).expect("one object");
    let info = stdout(&kiln(path, ["data", "info", "out", "--json"]));
    let info: serde_json::Value = serde_json::from_str(&info).expect("one object");
    let total =
        |key: &str| manifest["train"][key].as_u64().zip(manifest["valid"][key].as_u64()).map(|(a, b)| a + b);
    for key in ["tokens", "documents", "text_bytes"] {
        assert_eq!(info[key].as_u64(), total(key), "{key}");
    }
    assert_eq!((info["kind"].as_str(), info["tokenizer"].as_str()), (Some("prepared"), Some("byte")));
    let shown = stdout(&kiln(path, ["data", "info", "in/b.md", "--tokenizer", "byte"]));
    assert!(shown.contains("# A kiln") && shown.contains("bytes per token  1.0000"), "{shown}");

    let set = ["--set", "data.path=out", "--set", "training.steps=4", "--set", "training.eval_interval=2"];
    stdout(&train(path, ["--run-dir", "run"].into_iter().chain(set)));
    assert!(!path.join("run/data/train.tokens").exists(), "the shards are read where they are");
    let resumed =
        kiln(path, ["train", "--plain", "--run-dir", "run", "--resume", "--set", "training.steps=6"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));

    let other = train(path, ["--run-dir", "other", "--set", "tokenizer.kind=gpt2"].into_iter().chain(set));
    let message = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(2), "{message}");
    assert!(message.contains("\"byte\"") && message.contains("\"gpt2\""), "{message}");
}

#[test]
fn killed_and_resumed_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("in")).expect("writable");
    for n in 0..3 {
        corpus(&path.join(format!("in/{n}.jsonl")), 17_000_000);
    }
    stdout(&kiln(path, PREPARE.into_iter().chain(["--out", "whole", "--threads", "2"])));

    let mut running = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(PREPARE)
        .args(["--out", "killed", "--threads", "1"])
        .current_dir(path)
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let finished = || {
        let entries = std::fs::read_dir(path.join("killed/.prepare")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "part")).count()
    };
    let begun = Instant::now();
    while finished() == 0 && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.kill().expect("it still runs");
    running.wait().expect("it was ours");
    assert!(finished() > 0 && !path.join("killed/dataset.json").exists(), "killed on the way");
    stdout(&kiln(path, PREPARE.into_iter().chain(["--out", "killed"])));
    assert_eq!(files(&path.join("killed")), files(&path.join("whole")));
    assert!(!path.join("killed/.prepare").exists());
}

#[test]
fn bad_input_is_one_sentence_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("empty")).expect("writable");
    let packed = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b];
    for (name, bytes, words) in [
        ("a.jsonl", &b"{\"text\": \"a\"}\n{\"text\": \n"[..], &["a.jsonl:2", "broken JSON"][..]),
        ("b.jsonl", b"{\"body\": \"a\"}\n", &["b.jsonl:1", "no field `text`", "`body`", "hint:"]),
        ("c.csv", b"id,body\n1,a\n", &["c.csv:1", "no field `text`"]),
        ("d.parquet", b"this is text", &["d.parquet", "not a Parquet file"]),
        ("e.txt.gz", &packed, &["e.txt.gz", "gzip", "cut short"]),
        ("f.txt", b"caf\xe9 au lait", &["f.txt:1", "byte 3", "UTF-8", "--lossy"]),
        ("g.txt", b" \n", &["g.txt", "empty"]),
        ("empty", b"", &["empty", "no .txt"]),
        ("*.toml", b"", &["*.toml", "no file in this folder matches"]),
        ("missing", b"", &["missing", "No such file"]),
    ] {
        if !bytes.is_empty() {
            std::fs::write(path.join(name), bytes).expect("writable");
        }
        let output = kiln(path, ["data", "prepare", "--tokenizer", "gpt2", "--out", "out", "--data", name]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {message}");
        for word in words {
            assert!(message.contains(word), "{name}: no {word:?} in: {message}");
        }
        assert!(!path.join("out").exists(), "{name} left something behind");
    }
    let lossy = ["data", "prepare", "--tokenizer", "byte", "--out", "lossy", "--data", "f.txt", "--lossy"];
    stdout(&kiln(path, lossy));
    let skipping =
        ["data", "prepare", "--tokenizer", "byte", "--out", "skipping", "--data", "a.jsonl", "--skip-bad"];
    assert!(stdout(&kiln(path, skipping)).contains("a.jsonl:2"));
}

#[test]
fn standard_input_and_the_cargo_registry_are_sources() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let crates = path.join("home/registry/src/index/some-crate-1.0.0/src");
    std::fs::create_dir_all(&crates).expect("writable");
    std::fs::write(crates.join("lib.rs"), "pub fn kiln() {}\n").expect("writable");
    std::fs::write(crates.join("main.rs"), "fn main() { kiln() }\n").expect("writable");
    std::fs::write(crates.join("notes.txt"), "not code").expect("writable");
    std::fs::write(path.join("text"), "from a pipe\n".repeat(10)).expect("writable");
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_kiln"))
            .args(["data", "prepare", "--tokenizer", "byte", "--json"])
            .args(arguments)
            .env("CARGO_HOME", path.join("home"))
            .stdin(std::fs::File::open(path.join("text")).expect("just written"))
            .current_dir(path)
            .output()
            .expect("the binary runs")
    };
    let read = |output| -> serde_json::Value { serde_json::from_str(&stdout(&output)).expect("one object") };
    let cargo = read(run(&["--data", "cargo", "--out", "cargo-out"]));
    assert_eq!(cargo["train"]["documents"].as_u64().zip(cargo["valid"]["documents"].as_u64()), Some((1, 1)));
    let piped = read(run(&["--data", "-", "--out", "piped"]));
    assert_eq!((&piped["train"]["tokens"], &piped["valid"]["tokens"]), (&108.into(), &12.into()));
}
