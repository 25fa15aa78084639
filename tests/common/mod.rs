//! What the tests share: driving the built binary, and looking into a module.

#![allow(dead_code, reason = "each test uses a part of it")]

pub mod fixtures;
pub mod parameters;
#[cfg(unix)]
pub mod terminal;

use std::path::Path;
use std::process::{Command, Output};

/// A tiny run on the embedded corpus: seconds, not minutes.
pub const TINY: [&str; 18] = [
    "--set",
    "schedule.warmup_steps=4",
    "--set",
    "tokenizer.chat=false",
    "--set",
    "data.tales_bytes=30000",
    "--set",
    "model.context_length=16",
    "--set",
    "model.d_model=32",
    "--set",
    "model.n_layers=2",
    "--set",
    "training.batch_size=2",
    "--set",
    "training.eval_batches=2",
    "--set",
    "generation.max_tokens=8",
];

/// `kiln ARGS` in `folder`.
pub fn kiln<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kiln")).args(args).current_dir(folder).output().expect("the binary runs")
}

/// `kiln train --plain ARGS` with the tiny settings.
pub fn train<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>) -> Output {
    kiln(folder, ["train", "--plain"].into_iter().chain(TINY).chain(args))
}

/// What a successful command printed.
pub fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("we print UTF-8")
}

/// Runs `kiln ARGS` and checks that it is refused, as the user's to put right, with a message that has every one of
/// `words` and nothing of a panic.
pub fn refuse<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>, words: &[&str]) {
    let output = kiln(folder, args);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

/// Loss of every optimizer step, by step.
pub fn losses(run: &Path) -> Vec<(u64, f64)> {
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).expect("a run writes its metrics");
    lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("one object a line"))
        .filter(|line| line["split"] == "train")
        .map(|line| (line["step"].as_u64().expect("a step"), line["loss"].as_f64().expect("a finite loss")))
        .collect()
}
