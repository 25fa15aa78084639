//! Bad input: one clear sentence, exit code 2, nothing written.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::{kiln, stdout, train};

fn everything_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(everything_below(&path));
        }
        found.insert(path);
    }
    found
}

/// Runs `kiln ARGS` in `folder` and checks that it is refused with a message that has every one of `words`.
fn refuse(folder: &Path, args: &[&str], words: &[&str]) {
    let before = everything_below(folder);
    let output = kiln(folder, args.iter().copied());
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "kiln {args:?}: {message}");
    assert!(message.starts_with("error: "), "kiln {args:?}: {message}");
    for word in words {
        assert!(message.contains(word), "kiln {args:?}: no {word:?} in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(everything_below(folder), before, "kiln {args:?} left something behind");
}

#[test]
fn corpora_that_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::write(path.join("empty.txt"), "").expect("writable");
    std::fs::write(path.join("latin1.txt"), b"caf\xe9 au lait, caf\xe9 noir\n").expect("writable");
    std::fs::write(path.join("short.txt"), "too short for a window of that size").expect("writable");
    std::fs::create_dir(path.join("folder")).expect("writable");
    let train = |set: &'static str, words: &[&str]| refuse(path, &["train", "--plain", "--set", set], words);
    train("data.path=missing.txt", &["missing.txt", "No such file"]);
    train("data.path=empty.txt", &["empty.txt", "empty"]);
    train("data.path=latin1.txt", &["latin1.txt:1", "UTF-8", "hint:"]);
    train("data.path=short.txt", &["tokens", "context_length = 160", "hint:"]);
    train("data.path=folder", &["folder", "no .txt"]);

    // A run directory that was there before keeps what is in it.
    std::fs::create_dir(path.join("mine")).expect("writable");
    std::fs::write(path.join("mine/notes.txt"), "keep me").expect("writable");
    let short = "data.path=short.txt";
    refuse(path, &["train", "--plain", "--run-dir", "mine", "--set", short], &["tokens", "hint:"]);
}

#[test]
fn configurations_that_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::write(path.join("run.toml"), "[model]\nn_layers = 2\nn_heds = 2\n").expect("writable");
    refuse(
        path,
        &["train", "--config", "run.toml"],
        &["run.toml:3", "model.n_heds", "did you mean `n_heads`"],
    );
    refuse(path, &["train", "--config", "nowhere.toml"], &["nowhere.toml"]);
    refuse(path, &["train", "--set", "model.n_heads=5"], &["model.n_heads = 5", "model.d_model = 128"]);
    refuse(path, &["train", "--set", "model.d_model=0"], &["model.d_model = 0", "at least 1"]);
    refuse(path, &["train", "--set", "training.steps=-3"], &["training.steps=-3"]);
    refuse(
        path,
        &["train", "--set", "optimizer.learning_rate=-1"],
        &["optimizer.learning_rate = -1", "positive"],
    );
    refuse(path, &["train", "--set", "tokenizer.kind=gpt5"], &["gpt5", "hint:"]);
    refuse(path, &["train", "--set", "model.preset=gpt5"], &["gpt5", "gpt2-medium"]);
    refuse(path, &["bench", "train", "--heads", "5"], &["--heads = 5", "--width = 128"]);
    refuse(path, &["train", "--backend", "abacus"], &["abacus", "hint:"]);
    if !cfg!(feature = "rocm") {
        refuse(path, &["train", "--backend", "rocm"], &["rocm", "--features rocm"]);
    }
    refuse(path, &["train", "--resume", "--run-dir", "nowhere"], &["nowhere", "no run here"]);
}

#[test]
fn models_and_prompts_that_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("nothing")).expect("writable");
    std::fs::create_dir(path.join("pickle")).expect("writable");
    std::fs::write(path.join("pickle/config.json"), "{\"model_type\": \"gpt2\"}").expect("writable");
    std::fs::write(path.join("pickle/pytorch_model.bin"), "\u{80}\u{2}").expect("writable");
    let words = ["pytorch_model.bin", "model.safetensors", "save_pretrained('NEW_DIR')"];
    refuse(path, &["score", "--model", "pickle", "--tokens", "1,2"], &words);
    refuse(
        path,
        &["generate", "--model", "nothing", "--prompt", "a"],
        &["nothing", "no model here", "hint:"],
    );
    refuse(path, &["score", "--model", "nowhere", "--text", "a"], &["nowhere", "no model here"]);
    refuse(path, &["info", "--run", "nothing"], &["nothing", "no run here"]);
    refuse(
        path,
        &["tokenize", "decode", "--tokenizer", "gpt2", "--tokens", "50257"],
        &["50257", "vocabulary"],
    );

    stdout(&train(path, ["--run-dir", "run", "--set", "training.steps=2", "--set", "tokenizer.kind=char"]));
    let generate =
        |prompt, words: &[&str]| refuse(path, &["generate", "--model", "run", "--prompt", prompt], words);
    generate("Toë", &["'ë'", "hint:"]);
    refuse(path, &["generate", "--model", "run", "--prompt", "a", "--top-p", "1.5"], &["top_p = 1.5"]);
    refuse(path, &["score", "--model", "run", "--tokens", "1,9999"], &["9999", "vocabulary"]);
    refuse(path, &["score", "--model", "run", "--tokens", "1"], &["1 tokens", "at least 2"]);
    refuse(path, &["eval", "--model", "run", "--data", "nowhere.txt"], &["nowhere.txt"]);
    // A run is never overwritten.
    refuse(path, &["train", "--run-dir", "run"], &["already holds a run", "--resume", "--run-dir"]);
}

#[test]
fn the_wrong_thing_is_answered_with_what_takes_it() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    stdout(&train(
        path,
        ["--run-dir", "runs/book", "--set", "training.steps=2", "--set", "tokenizer.kind=char"],
    ));
    stdout(&kiln(path, ["export", "--model", "book", "--to", "small.gguf"]));
    stdout(&kiln(path, ["export", "--model", "book", "--to", "small"]));
    std::fs::copy(path.join("small/model.safetensors"), path.join("alone.safetensors")).expect("writable");
    std::fs::write(path.join("text.txt"), "a text of some length, not very long\n".repeat(40))
        .expect("writable");
    let checkpoint = "runs/book/checkpoint/step-00000002";
    let told = |args: &[&str], words: &[&str]| refuse(path, args, words);

    // A model.
    told(&["generate", "Once upon"], &["no model here", "`kiln generate -p 'Once upon'`"]);
    told(&["generate", "Hello"], &["`kiln generate -p Hello`"]);
    told(&["info", "text.txt"], &["a text, not a model", "`kiln train text.txt`"]);
    told(&["eval", "bok"], &["did you mean the run book?"]);
    told(&["generate", checkpoint, "-p", "a"], &["a checkpoint of a run", "`--model runs/book`"]);
    told(&["score", "--model", "runs/book/data", "--text", "ab"], &["token shards, not a model"]);
    told(&["score", "--model", "alone.safetensors", "--text", "ab"], &["a file of weights", "config.json"]);
    told(&["info", "runs/book/config.toml"], &["a configuration, not a model", "--config"]);
    told(&["info", "runs"], &["a folder of runs", "`kiln runs runs`"]);
    // A text.
    told(&["train", "runs/book"], &["a run, not a text", "--resume", "--init-from runs/book"]);
    told(&["train", "--plain", "--set", "data.path=small"], &["a model, not a text", "--init-from small"]);
    told(&["eval", "book", "--data", "small.gguf"], &["a model in a GGUF file, not a text"]);
    told(&["data", "info", "alone.safetensors"], &["a file of weights, not a text"]);
    told(&["data", "info", "texd.txt"], &["No such file", "did you mean text.txt?"]);
    told(&["train", "./text.tx"], &["did you mean ./text.txt?"]);
    // A tokenizer, a configuration, a run, a corpus.
    let encode =
        |name, words: &[&str]| told(&["tokenize", "encode", "--text", "a", "--tokenizer", name], words);
    encode("text.txt", &["a text, not a tokenizer", "`kiln tokenize train --data text.txt"]);
    encode("GPT-2", &["did you mean gpt2?"]);
    encode(checkpoint, &["`--tokenizer runs/book`"]);
    encode("small/model.safetensors", &["`--tokenizer small`"]);
    told(&["train", "--config", "text.txt"], &["a text, not a configuration", "`kiln train text.txt`"]);
    told(&["train", "--config", "runs/book"], &["a directory", "`--config runs/book/config.toml`"]);
    told(&["info", "--run", "small"], &["no run here", "`kiln info small`"]);
    told(&["report", "bok"], &["no run here", "did you mean book?"]);
    told(&["data", "fetch", "hf://openai-community/gpt2"], &["`kiln fetch openai-community/gpt2`"]);
    told(&["config", "model.d_mdel"], &["did you mean `model.d_model`?"]);
    told(&["config", "dropot"], &["did you mean `dropout`?"]);
    told(&["data", "fetch", "tinyshakespear"], &["`kiln data fetch tinyshakespeare`"]);
    // What is named in another way than one might, and is clear.
    for model in ["small/model.safetensors", "small/config.json", "small.gguf", "runs/book/model", "book"] {
        let output = kiln(path, ["generate", model, "-p", "a", "--max-tokens", "2"]);
        assert!(output.status.success(), "{model}: {}", String::from_utf8_lossy(&output.stderr));
    }
    stdout(&kiln(path, ["tokenize", "encode", "--tokenizer", "small.gguf", "--text", "a"]));
}
