//! Runs that are killed and resume.
#![cfg(unix)]

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::{kiln, stdout};
use crate::start::{base, conversations, json, labelled_texts, preferences};

/// Metrics that a run has written when it is killed, each time.
const KILLS: [usize; 3] = [3, 9, 17];

#[test]
fn a_task_that_is_killed_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    labelled_texts(path);
    conversations(path);
    preferences(path);
    let more = ["--model", "base", "--epochs", "6", "--lr", "0.003"];
    let often = ["--set", "training.checkpoint_interval=4", "--set", "training.eval_interval=7"];
    for (task, data, lora) in [
        ("classify", "texts.csv", None),
        ("instruct", "talks.jsonl", Some("4")),
        ("dpo", "pairs.jsonl", Some("2")),
    ] {
        let lora = lora.into_iter().flat_map(|rank| ["--lora", rank, "--set", "lora.dropout=0.1"]);
        let options: Vec<&str> = ["--data", data].into_iter().chain(more).chain(often).chain(lora).collect();
        let (whole, killed) = (format!("{task}-whole"), format!("{task}-killed"));
        stdout(&kiln(path, command(task, &whole).into_iter().chain(options.iter().copied())));
        for (number, lines) in KILLS.into_iter().enumerate() {
            let options = if number == 0 { &options[..] } else { &["--resume"] };
            let arguments = command(task, &killed).into_iter().chain(options.iter().copied());
            kill_after(path, &killed, lines, arguments);
        }
        stdout(&kiln(path, command(task, &killed).into_iter().chain(["--resume"])));
        assert_same(&path.join(&killed), &path.join(&whole));
    }
}

fn command<'a>(task: &'a str, run: &'a str) -> [&'a str; 5] {
    ["finetune", task, "--plain", "--run-dir", run]
}

/// Starts a run, and kills it when it has written so many lines of metrics.
fn kill_after<'a>(folder: &Path, run: &str, lines: usize, arguments: impl Iterator<Item = &'a str>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it runs");
    let metrics = folder.join(run).join("metrics.jsonl");
    let written = || std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count());
    while written() < lines {
        assert_eq!(child.try_wait().expect("it can be asked"), None, "{run} is over before line {lines}");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("it can be killed");
    assert_eq!(child.wait().expect("it ends").signal(), Some(9), "{run}: the kill came too late");
}

/// Compares what two runs left, to the bit, without what depends on the clock.
fn assert_same(a: &Path, b: &Path) {
    let weights = |run: &Path| {
        let model = run.join("model");
        let adapter = std::fs::read(model.join("adapter_model.safetensors"));
        adapter.or_else(|_| std::fs::read(model.join("model.safetensors"))).expect("a model")
    };
    assert!(weights(a) == weights(b), "the weights of {} differ", a.display());
    let metrics = |run: &Path| -> Vec<Value> {
        let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("it is there");
        text.lines().map(|line| timeless(serde_json::from_str(line).expect("JSON"))).collect()
    };
    assert_eq!(metrics(a), metrics(b));
    assert_eq!(timeless(json(&a.join("results.json"))), timeless(json(&b.join("results.json"))));
}

fn timeless(mut value: Value) -> Value {
    let object = value.as_object_mut().expect("an object");
    object.remove("seconds");
    object.remove("tokens_per_second");
    value
}
