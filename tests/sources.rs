//! What `kiln` takes for a corpus: pipes, tables, and tokenizers that have a say in it.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{kiln, refuse, stdout, train};
use kiln_datasets::{TokenShard, Tokenizer};

/// Runs `kiln ARGS` in `folder` with `input` on its standard input, and gives up after a minute.
#[cfg(unix)]
fn piped(folder: &Path, args: &[&str], input: &str) -> std::process::Output {
    use std::io::Write;
    let mut running = Command::new("timeout")
        .args(["60", env!("CARGO_BIN_EXE_kiln")])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    running.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    running.wait_with_output().expect("it ends")
}

/// A named pipe that gives `text` to whoever reads it first.
#[cfg(unix)]
fn fifo(path: PathBuf, text: String) {
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("every Unix has mkfifo").success());
    std::thread::spawn(move || std::fs::write(path, text));
}

#[cfg(unix)]
#[test]
fn pipes_are_read_once_wherever_a_corpus_is_prepared() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let text = "from a pipe, and some more of it\n".repeat(30);
    let prepare = |data: &str, out: &str, tokenizer: &str| {
        let arguments = ["data", "prepare", "--json", "--data", data, "--out", out, "--tokenizer", tokenizer];
        let output = piped(path, &arguments, &text);
        let manifest: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("one object");
        let sum =
            |key: &str| ["train", "valid"].iter().map(|split| manifest[split][key].as_u64().unwrap()).sum();
        (sum("documents"), sum("text_bytes"))
    };
    fifo(path.join("a.txt"), text.clone());
    fifo(path.join("a.jsonl"), format!("{{\"text\": {text:?}}}\n").repeat(3));
    let bytes: u64 = text.len() as u64;
    assert_eq!(prepare("-", "one", "byte"), (2, bytes));
    assert_eq!(prepare("/dev/stdin", "two", "char"), (2, bytes));
    assert_eq!(prepare("a.txt", "three", "byte"), (2, bytes));
    assert_eq!(prepare("a.jsonl", "four", "byte"), (3, 3 * bytes));
    assert_eq!(prepare("-", "one", "byte"), (2, bytes), "the same text again is there already");
    let prepare = ["data", "prepare", "--tokenizer", "byte", "--out", "five", "--data"];
    refuse(path, prepare.into_iter().chain(["/dev/zero"]), &["/dev/zero: a device or a socket"]);
}

#[cfg(unix)]
#[test]
fn every_command_that_reads_text_reads_standard_input() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let text = "from a pipe, and some more of it\n".repeat(30);
    let read = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&stdout(&piped(path, arguments, &text))).expect("one object")
    };
    let info = read(&["data", "info", "-", "--tokenizer", "byte", "--json"]);
    assert_eq!(info["text_bytes"], text.len());
    let learn = ["tokenize", "train", "--data", "/dev/stdin", "--vocab-size", "270", "--out", "bpe"];
    stdout(&piped(path, &learn, &text));
    let train = ["train", "--plain", "--run-dir", "run", "--set", "data.path=-", "--set", "training.steps=2"];
    let byte = ["--set", "tokenizer.kind=byte"];
    stdout(&piped(path, &[&train[..], &common::TINY, &byte].concat(), &text));
    std::fs::write(path.join("b.txt"), &text).expect("writable");
    let eval = |data: &str| read(&["eval", "--model", "run", "--data", data, "--json"])["loss"].clone();
    assert_eq!(eval("-"), eval("b.txt"));

    let lines = format!("{text:?}\n").repeat(4);
    let train = train.map(|argument| if argument == "run" { "lines" } else { argument });
    let jsonl = ["--set", "data.format=jsonl"];
    stdout(&piped(path, &[&train[..], &common::TINY, &byte, &jsonl].concat(), &lines));
    let info = stdout(&kiln(path, ["data", "info", "lines/data", "--json"]));
    assert!(info.contains("\"documents\":4"), "{info}");

    let prepare =
        ["data", "prepare", "--tokenizer", "byte", "--data", "-", "--format", "jsonl", "--out", "out"];
    let refused = piped(path, &prepare, "\"one\"\n{");
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("standard input:2: broken JSON"), "{message}");
}

#[test]
fn documents_without_text_are_counted_and_rows_that_lost_something_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let write = |name: &str, text: &str| std::fs::write(path.join(name), text).expect("writable");
    write("a.csv", "id,text\n1,one\n2,\n3,two\n4,\" \"\n");
    let prepare = |data: &'static str, out: &'static str| {
        ["data", "prepare", "--tokenizer", "byte", "--data", data, "--out", out]
    };
    let said = stdout(&kiln(path, prepare("a.csv", "a")));
    assert!(said.contains("2 documents without text left out"), "{said}");
    let rows: String = (0..500).map(|n| format!("{n},row {n}\n")).collect();
    write("b.csv", &format!("id,text\n{rows}500,\"an opening quote only\n{rows}"));
    refuse(path, prepare("b.csv", "b"), &["b.csv:502: the quote that opens here is never closed"]);
    write("c.csv", "id,text\n1,Hello, world\n2,fine\n");
    refuse(path, prepare("c.csv", "c"), &["c.csv:2: 3 columns, but line 1 has 2"]);
    write("d.jsonl", "{\"text\": \"fine\"}\n{\"text\": \"half \\ud83d\"}\n");
    refuse(path, prepare("d.jsonl", "d"), &["d.jsonl:2: half of a character, a lone surrogate", "--lossy"]);
    stdout(&kiln(path, prepare("d.jsonl", "d").into_iter().chain(["--lossy"])));
}

#[test]
fn documents_of_a_tokenizer_that_marks_beginnings_have_the_mark() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let documents = ["one text", "another text", "the last text"];
    let lines: String = documents.iter().map(|text| format!("{text:?}\n")).collect();
    std::fs::write(path.join("a.jsonl"), lines).expect("writable");
    stdout(&kiln(path, ["tokenize", "train", "--data", "a.jsonl", "--vocab-size", "260", "--out", "bpe"]));
    let read = || std::fs::read_to_string(path.join("bpe/tokenizer.json")).expect("just written");
    let plain: serde_json::Value = serde_json::from_str(&read()).expect("JSON");
    // End-of-text, which separates documents anyway, and another token.
    for (token, id) in [("<|endoftext|>", 0), ("a", 65)] {
        let mut json = plain.clone();
        json["post_processor"] = serde_json::json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}}});
        std::fs::write(path.join("bpe/tokenizer.json"), json.to_string()).expect("writable");
        let out = format!("out{id}");
        let prepare = ["data", "prepare", "--data", "a.jsonl", "--tokenizer", "bpe", "--out", &out];
        stdout(&kiln(path, prepare));
        let tokenizer = Tokenizer::from_directory(&path.join("bpe")).expect("a tokenizer");
        let mut found = Vec::new();
        for name in ["train.tokens", "valid.tokens"] {
            let shard = TokenShard::open(&path.join(&out).join(name)).expect("just written");
            let tokens: Vec<u32> = shard.tokens(0..shard.len()).map(|token| token as u32).collect();
            found.extend(tokens.split_inclusive(|token| *token == 0).map(<[u32]>::to_vec));
        }
        let start = if id == 0 { vec![] } else { vec![id] };
        let expected = |text: &&str| [&start[..], &tokenizer.encode(text).expect("any text"), &[0]].concat();
        let mut expected: Vec<Vec<u32>> = documents.iter().map(expected).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    // The prompts of a model that was made with it begin so, too.
    let set = ["--set", "data.path=a.jsonl", "--set", "tokenizer.kind=./bpe", "--set", "training.steps=1"];
    let small = ["--set", "model.context_length=2", "--set", "data.valid_fraction=0.4"];
    stdout(&train(path, ["--run-dir", "run"].into_iter().chain(set).chain(small)));
    let generate = ["generate", "--model", "run", "--prompt", "a", "--max-tokens", "1", "--json"];
    let generated: serde_json::Value =
        serde_json::from_str(&stdout(&kiln(path, generate))).expect("one object");
    assert_eq!(generated["prompt_tokens"], serde_json::json!([65, 65]));
}
