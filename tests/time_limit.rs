//! A time limit from the outside: what it does to the schedule, and that nothing has to wait for a large step.

#![cfg(unix)]

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{TINY, kiln, stdout, train};
use serde_json::Value;

fn steps(run: &std::path::Path) -> Vec<Value> {
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).expect("readable");
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).expect("one object a line"));
    lines.filter(|line| line["split"] == "train").collect()
}

#[test]
fn the_learning_rate_comes_down_by_the_limit_and_the_limit_counts_once() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let args = ["--minutes", "0.1", "--steps", "1000000", "--set", "training.eval_interval=1000000"];
    let peak = ["--lr", "1e-3", "--set", "schedule.warmup_steps=5", "--run-dir", "run"];
    let said = stdout(&train(path, args.into_iter().chain(peak)));
    assert!(said.contains("training.max_minutes are over"), "{said}");
    let before = steps(&path.join("run"));
    let rates: Vec<f64> = before.iter().filter_map(|step| step["learning_rate"].as_f64()).collect();
    assert!(rates.len() > 20, "{} steps in six seconds", rates.len());
    let last = rates[rates.len() - 1];
    assert!(last < 5e-5 && rates.iter().any(|rate| *rate > 9e-4), "from 1e-3 down to 0, and here {last}");

    // The time is over, and a resumed run has no more of it.
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "run", "--resume"]));
    assert_eq!(steps(&path.join("run")).len(), before.len());
    // With more time, the learning rate is that of the steps again.
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "run", "--resume", "--minutes", "0.15"]));
    let after = steps(&path.join("run"));
    let rates: Vec<f64> =
        after[before.len()..].iter().filter_map(|step| step["learning_rate"].as_f64()).collect();
    assert!(rates.first().is_some_and(|rate| *rate > 5e-4) && rates.last() < Some(&2e-4), "{rates:?}");
    assert!(after.last().expect("steps")["seconds"].as_f64() < Some(12.0));
}

#[test]
fn a_signal_need_not_wait_for_a_large_step() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let run = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .current_dir(path)
        .args(["train", "--plain", "--run-dir", "run"])
        .args(TINY)
        .args(["--set", "training.grad_accumulation=100000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut run = run.expect("built");
    let started = Instant::now();
    while !path.join("run/checkpoint").is_dir() {
        assert!(started.elapsed() < Duration::from_secs(60), "no run");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Within its first step, which takes minutes.
    std::thread::sleep(Duration::from_secs(2));
    assert!(run.try_wait().expect("a child").is_none());
    let asked = Instant::now();
    let killed = Command::new("kill").args(["-TERM", &run.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    assert_eq!(run.wait().expect("a child").code(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert!(steps(&path.join("run")).is_empty());
}
