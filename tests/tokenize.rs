//! `kiln tokenize` and `kiln bench tokenize`, driven as users drive them.

mod common;

use std::path::Path;

use common::{kiln, stdout};

/// Some text in two files of a folder.
fn write_corpus(folder: &Path) {
    std::fs::create_dir(folder.join("texts")).expect("writable");
    let text = "the kiln is hot and the clay is cold; the kiln is old and the clay is new\n";
    std::fs::write(folder.join("texts/a.txt"), text.repeat(30)).expect("writable");
    std::fs::write(folder.join("texts/b.jsonl"), format!("{{\"text\": {text:?}}}\n").repeat(30))
        .expect("writable");
}

#[test]
fn train_writes_a_tokenizer_that_every_command_takes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    write_corpus(path);
    let learn = |out| {
        let arguments = ["tokenize", "train", "--data", "texts", "--vocab-size", "270", "--out", out];
        let output = kiln(path, arguments);
        stdout(&output);
        String::from_utf8(output.stderr).expect("we print UTF-8")
    };
    let said = learn("mine");
    assert!(said.starts_with("mine: 270 tokens from 0.0 MB"), "{said}");
    learn("again");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let read = |out: &str| std::fs::read(path.join(out).join(file)).expect("just written");
        assert_eq!(read("mine"), read("again"), "{file}");
    }

    let text = "the clay is naïve 🦀<|endoftext|>";
    let encode = |more: &[&str]| -> Vec<u32> {
        let arguments = ["tokenize", "encode", "--tokenizer", "mine", "--text", text, "--json"];
        let output = stdout(&kiln(path, arguments.into_iter().chain(more.iter().copied())));
        let output: serde_json::Value = serde_json::from_str(&output).expect("one object");
        serde_json::from_value(output["tokens"].clone()).expect("ids")
    };
    let tokens = encode(&[]);
    let list = tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    assert_eq!(
        stdout(&kiln(path, ["tokenize", "decode", "--tokenizer", "mine", "--tokens", &list])),
        format!("{text}\n")
    );
    let special = encode(&["--special"]);
    assert!(!tokens.contains(&0) && special.ends_with(&[0]) && special.len() < tokens.len(), "{special:?}");

    stdout(&kiln(path, ["data", "prepare", "--data", "texts", "--tokenizer", "mine", "--out", "out"]));
    let info = stdout(&kiln(path, ["data", "info", "out", "--json"]));
    let info: serde_json::Value = serde_json::from_str(&info).expect("one object");
    assert_eq!((&info["vocab_size"], &info["documents"]), (&270.into(), &31.into()));
    assert!(info["bytes_per_token"].as_f64().expect("a number") > 1.5, "{info}");
}

#[test]
fn train_refuses_what_it_cannot_learn_from() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    write_corpus(path);
    std::fs::write(path.join("latin1.txt"), b"caf\xe9 au lait").expect("writable");
    std::fs::write(path.join("empty.txt"), b"").expect("writable");
    for (data, size, words) in [
        ("texts", "256", "256 is not in 257.."),
        ("missing", "300", "missing: No such file"),
        ("latin1.txt", "300", "latin1.txt:1: byte 3"),
        ("empty.txt", "300", "empty.txt: there is no text"),
    ] {
        let output = kiln(path, ["tokenize", "train", "--data", data, "--vocab-size", size, "--out", "out"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(words), "{message}");
        assert!(!path.join("out").exists(), "{data} left something behind");
    }
    let lossy =
        ["tokenize", "train", "--data", "latin1.txt", "--vocab-size", "257", "--out", "out", "--lossy"];
    stdout(&kiln(path, lossy));
}

#[test]
fn bench_compares_ids_and_speed_with_the_published_encoder() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::write(path.join("text"), "It's 12 o'clock, and the kiln — naïvely — is hot.\n".repeat(2000))
        .expect("writable");
    let report = |arguments: &[&str]| -> serde_json::Value {
        let begin = ["bench", "tokenize", "--file", "text", "--json"];
        let output = stdout(&kiln(path, begin.into_iter().chain(arguments.iter().copied())));
        serde_json::from_str(output.lines().last().expect("a line")).expect("one object")
    };
    for name in ["gpt2", "cl100k_base", "o200k_base"] {
        let report = report(&["--tokenizer", name, "--threads", "2"]);
        assert_eq!(
            (&report["ids_equal_tiktoken_rs"], &report["threads"]),
            (&true.into(), &2.into()),
            "{report}"
        );
        for speed in
            ["megabytes_per_second", "megabytes_per_second_one_thread", "megabytes_per_second_tiktoken_rs"]
        {
            assert!(report[speed].as_f64().is_some_and(|speed| speed > 0.0), "{speed}: {report}");
        }
    }
    let byte = report(&["--tokenizer", "byte"]);
    assert!(byte["megabytes_per_second_tiktoken_rs"].is_null(), "no one else has it: {byte}");
    write_corpus(path);
    stdout(&kiln(path, ["tokenize", "train", "--data", "texts", "--vocab-size", "270", "--out", "mine"]));
    let mine = report(&["--tokenizer", "mine"]);
    assert_eq!(mine["ids_equal_tokenizers"], true, "{mine}");
    let missing = kiln(path, ["bench", "tokenize", "--file", "nowhere"]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn ids_are_typed_or_piped_in_any_of_the_ways_in_which_they_are_printed() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    for tokens in ["15496,11,995", "15496 11 995", "[15496, 11, 995]", " 15496,\n11 ,995 "] {
        let decode = ["tokenize", "decode", "--tokenizer", "gpt2", "--tokens", tokens];
        assert_eq!(stdout(&kiln(path, decode)), "Hello, world\n", "{tokens:?}");
    }
    let bad = kiln(path, ["tokenize", "decode", "--tokenizer", "gpt2", "--tokens", "1 x"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("\"x\" is not a token id"));

    let piped = |arguments: &[&str], input: &str| {
        let mut running = Command::new(env!("CARGO_BIN_EXE_kiln"))
            .args(["tokenize"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .current_dir(path)
            .spawn()
            .expect("the binary runs");
        running.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
        stdout(&running.wait_with_output().expect("it ends"))
    };
    let gpt2 = ["--tokenizer", "gpt2"];
    for input in [&[][..], &["--file", "-"], &["--file", "/dev/stdin"]] {
        assert_eq!(piped(&[&["encode"], &gpt2[..], input].concat(), "Hello, world"), "15496,11,995\n");
    }
    assert_eq!(piped(&["decode", "--tokenizer", "gpt2"], "15496,11,995\n"), "Hello, world\n");
}

/// A text without spaces is one word, and its tokens must not grow with it.
#[cfg(target_os = "linux")]
#[test]
fn a_long_word_is_learned_in_little_memory() {
    use std::process::Command;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::write(path.join("dna.txt"), "a".repeat(20_000_000)).expect("writable");
    let command = format!(
        "ulimit -v 600000; exec {} tokenize train --data dna.txt --vocab-size 300 --out out",
        env!("CARGO_BIN_EXE_kiln")
    );
    let mut shell = Command::new("sh");
    // Otherwise each thread may set aside addresses that it never uses.
    shell.args(["-c", &command]).env("MALLOC_ARENA_MAX", "1").current_dir(path);
    stdout(&shell.output().expect("a shell"));
    let written = std::fs::metadata(path.join("out/tokenizer.json")).expect("it was written").len();
    assert!(written < 100_000, "{written} bytes for 300 tokens");
}
