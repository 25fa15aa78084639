//! What a command does when something around it ends: its reader, the disk, a limit, the sweep that it is part of.

#![cfg(unix)]

mod common;

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{TINY, kiln, stdout, train};
use serde_json::Value;

/// A run of few steps in `folder`, called `run`.
fn small_run(folder: &Path) {
    std::fs::write(folder.join("corpus.txt"), "the quick brown fox jumps over the lazy dog\n".repeat(200))
        .expect("writable");
    let args = ["--run-dir", "run", "--set", "training.steps=6", "--set", "training.eval_interval=2"];
    stdout(&train(
        folder,
        args.into_iter().chain(["--set", "data.path=corpus.txt", "--set", "tokenizer.kind=byte"]),
    ));
}

/// Commands that print something about that run.
const PRINTING: [&[&str]; 14] = [
    &["info", "--model", "run"],
    &["info", "--run", "run"],
    &["info", "--backends"],
    &["info", "run"],
    &["runs", "."],
    &["config"],
    &["completions", "bash"],
    &["score", "--model", "run", "--tokens", "1,2,3"],
    &["score", "--model", "run", "--tokens", "1,2,3", "--json"],
    &["eval", "--model", "run", "--data", "corpus.txt"],
    &["data", "info", "run/data"],
    &["tokenize", "encode", "--tokenizer", "byte", "--text", "the"],
    &["generate", "--model", "run", "--prompt", "the", "--max-tokens", "3"],
    // More than memory holds.
    &["generate", "--model", "run", "--prompt", "the", "--max-tokens", "3", "-n", "4000000000"],
];

#[test]
fn a_reader_who_leaves_is_no_error_and_a_full_disk_is_one() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    small_run(folder.path());
    for args in PRINTING {
        let command = |out: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
            command.args(args).current_dir(folder.path()).stdout(out).stderr(Stdio::piped());
            let output = command.spawn().expect("the binary runs").wait_with_output().expect("it ends");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let (code, message) = command(writer.into());
        assert_eq!(code, Some(0), "kiln {args:?}: {message}");
        assert!(!message.contains("error") && !message.contains("panicked"), "kiln {args:?}: {message}");

        if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
            let (code, message) = command(full.into());
            assert_eq!(code, Some(1), "kiln {args:?}: {message}");
            assert!(message.contains("error: standard output: No space left"), "kiln {args:?}: {message}");
        }
    }
}

/// `kiln ARGS` by a shell that has a limit first.
fn limited(folder: &Path, limit: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limit}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_kiln")]);
    let output = shell.args(args).current_dir(folder).output().expect("a shell");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    small_run(path);
    let prepare = ["data", "prepare", "--data", "corpus.txt", "--tokenizer", "byte", "--out", "shards"];
    let export = ["export", "--model", "run", "--to", "exported"];
    let train = ["train", "--plain", "--set", "data.path=corpus.txt", "--run-dir", "other"];
    for (args, file) in [(&prepare[..], "shards"), (&export, "exported"), (&train, "other")] {
        let (code, message) = limited(path, "ulimit -f 4", args);
        assert_eq!(code, Some(1), "kiln {args:?}: {message}");
        assert!(message.contains("error: ") && message.contains(file), "kiln {args:?}: {message}");
    }
}

/// The runs of the table that a sweep printed, by name, with its exit code.
fn sweep(folder: &Path, grid: &str) -> (Option<i32>, Vec<Value>) {
    let args = ["--plain", "--json", "--dir", "sweep", "--set", "training.steps=15", "--grid", grid];
    let output = kiln(folder, ["sweep"].into_iter().chain(TINY).chain(args));
    let table: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), table["runs"].as_array().cloned().unwrap_or_default())
}

#[test]
fn a_sweep_with_a_run_that_failed_says_which_and_why() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (code, runs) = sweep(folder.path(), "optimizer.learning_rate=1e30,1e-3");
    assert_eq!(code, Some(1), "{runs:?}");
    let [good, bad] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((&good["status"], &good["error"]), (&Value::from("finished"), &Value::Null));
    assert_eq!(bad["status"], "failed");
    assert!(bad["error"].as_str().expect("a text").contains("not finite"), "{bad}");
}

#[test]
fn the_run_of_a_sweep_that_is_killed_ends_with_it() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let run = folder.path().join("sweep/dropout=0.0");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.arg("sweep").args(TINY).args(["--plain", "--dir", "sweep", "--grid", "model.dropout=0.0,0.1"]);
    command.args(["--set", "training.steps=1000000", "--set", "training.eval_interval=1000000"]);
    command.current_dir(folder.path()).stderr(Stdio::null()).stdout(Stdio::null());
    let mut sweep = command.spawn().expect("the binary runs");
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !done() {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("no step", &|| std::fs::metadata(run.join("metrics.jsonl")).is_ok_and(|file| file.len() > 0));
    assert!(kiln_training::RunDir::is_busy(&run));
    sweep.kill().expect("it runs");
    sweep.wait().expect("it ends");
    wait("the run goes on", &|| !kiln_training::RunDir::is_busy(&run));
}

#[test]
fn lines_that_are_gone_or_damaged_are_told() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    small_run(path);
    let metrics = path.join("run/metrics.jsonl");
    let text = std::fs::read_to_string(&metrics).expect("readable");
    // Steps 3 and 4, and the evaluation after step 4.
    let kept = |line: &&str| !line.contains("\"step\":3,") && !line.contains("\"step\":4,");
    std::fs::write(&metrics, text.lines().filter(kept).map(|line| format!("{line}\n")).collect::<String>())
        .expect("writable");
    std::fs::remove_file(path.join("run/samples.jsonl")).expect("it is there");
    let resume = ["train", "--plain", "--resume", "--run-dir", "run", "--set", "training.steps=8"];
    let output = kiln(path, resume);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    stdout(&output);
    for told in [
        "metrics.jsonl: steps 3 to 4 are missing",
        "metrics.jsonl: 1 of 3 evaluations are missing",
        "samples.jsonl: 4 of 4 samples are missing",
    ] {
        assert!(message.contains(told), "no {told:?} in {message}");
    }

    std::fs::write(&metrics, text.replacen("\"loss\"", "\"l\u{fffd}ss\"", 1)).expect("writable");
    for args in [&["info", "--run", "run"][..], &["report", "run"], &["runs", "."]] {
        let output = kiln(path, args.iter().copied());
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        stdout(&output);
        assert!(message.contains("metrics.jsonl:1: not a line"), "kiln {args:?}: {message}");
    }
}
