//! Runs that are killed, damaged or starved, and what is left of them: a run that continues is the one that never
//! stopped, bit for bit.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{TINY, kiln, stdout, train};
use serde_json::Value;

/// Dropout on, evaluations and checkpoints often, so that a kill may meet any of them.
const OFTEN: [&str; 18] = [
    "--set",
    "model.dropout=0.2",
    "--set",
    "training.steps=60",
    "--set",
    "training.eval_interval=12",
    "--set",
    "training.checkpoint_interval=5",
    "--set",
    "training.keep_checkpoints=1",
    "--set",
    "training.grad_accumulation=2",
    "--set",
    "schedule.min_learning_rate=1e-5",
    "--set",
    "schedule.decay_steps=60",
    "--set",
    "training.max_minutes=0",
];

/// Kills of a run; the environment may ask for more.
fn kills() -> usize {
    std::env::var("KILN_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5)
}

fn begin(folder: &Path, run: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(["train", "--plain", "--run-dir", run]).args(TINY).args(OFTEN).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn resume(folder: &Path, run: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(["train", "--plain", "--run-dir", run, "--resume"]).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The lines without what depends on the clock.
fn lines(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("a run writes its metrics");
    let line = |line| {
        let mut line: Value = serde_json::from_str(line).expect("one object a line");
        let object = line.as_object_mut().expect("an object");
        assert!(object.remove("seconds").is_some() && object.remove("tokens_per_second").is_some());
        line
    };
    text.lines().map(line).collect()
}

fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoint")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("readable").path());
    let is_whole =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"));
    paths.filter(is_whole).collect()
}

/// Begins the run, or lets it go on where it has a checkpoint to go on from.
fn go_on(folder: &Path, run: &str) -> Child {
    let begun = !checkpoints(&folder.join(run)).is_empty();
    if begun { resume(folder, run) } else { begin(folder, run) }.spawn().expect("it runs")
}

/// Whether two finished runs are the same: their lines, their best models, and the steps that would follow, which tell
/// of every weight and every moment.
fn assert_same(folder: &Path, one: &str, other: &str) {
    let (a, b) = (folder.join(one), folder.join(other));
    assert_eq!(lines(&a), lines(&b));
    let read = |run: &Path, name: &str| std::fs::read(run.join(name)).expect("readable");
    assert_eq!(read(&a, "samples.jsonl"), read(&b, "samples.jsonl"));
    assert!(
        read(&a, "model/model.safetensors") == read(&b, "model/model.safetensors"),
        "the best models differ"
    );
    for run in [one, other] {
        stdout(&kiln(
            folder,
            ["train", "--plain", "--run-dir", run, "--resume", "--set", "training.steps=64"],
        ));
    }
    assert_eq!(lines(&a).len(), 60 + 5 + 4 + 1);
    assert_eq!(lines(&a), lines(&b));
}

fn wait(mut child: Child) -> Option<i32> {
    child.wait().expect("it ends").code()
}

/// Pseudo-random moments that differ from run to run would make a failure hard to repeat.
fn moments(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
}

#[cfg(unix)]
#[test]
fn a_run_killed_at_any_moment_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let began = std::time::Instant::now();
    assert_eq!(wait(begin(path, "whole").spawn().expect("it runs")), Some(0));
    let whole = began.elapsed().as_millis() as u64;

    for moment in moments(1).take(kills()) {
        let mut child = go_on(path, "killed");
        std::thread::sleep(Duration::from_millis(moment % whole.max(2)));
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }
    assert_eq!(wait(go_on(path, "killed")), Some(0));
    assert_same(path, "killed", "whole");
}

/// A signal in the middle of an evaluation must leave that evaluation to be done.
#[cfg(unix)]
#[test]
fn an_interrupted_evaluation_is_made_up_for() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    assert_eq!(wait(begin(path, "whole").spawn().expect("it runs")), Some(0));
    for moment in moments(7).take(8) {
        let mut child = go_on(path, "parts");
        std::thread::sleep(Duration::from_millis(200 + moment % 800));
        let (signal, expected) = if moment % 2 == 0 { ("-INT", 130) } else { ("-TERM", 143) };
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill is there").success());
        let code = child.wait().expect("it ends").code();
        // A signal that arrives while the program still starts, or already ends, is answered by the system.
        assert!([None, Some(0), Some(expected)].contains(&code), "{code:?}");
    }
    assert_eq!(wait(go_on(path, "parts")), Some(0));
    assert_same(path, "parts", "whole");
}

#[test]
fn damage_is_found_named_and_the_checkpoint_before_is_used() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.keep_checkpoints=3", "--set", "training.steps=20"]);
    assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    let newest = checkpoints(&path.join("run")).into_iter().max().expect("one");
    let file = newest.join("optimizer.mpk");
    let mut bytes = std::fs::read(&file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("writable");

    std::fs::remove_dir_all(path.join("run/model")).expect("the best model is there");
    let output = kiln(path, ["train", "--plain", "--run-dir", "run", "--resume"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    stdout(&output);
    assert!(message.contains("step-00000020: optimizer.mpk: the checksum does not match"), "{message}");
    assert!(message.contains("continuing after step 15"), "{message}");
    let steps: Vec<Value> =
        lines(&path.join("run")).into_iter().filter(|line| line["split"] == "train").collect();
    assert_eq!(
        steps.iter().map(|line| line["step"].as_u64()).collect::<Vec<_>>(),
        (1..=20).map(Some).collect::<Vec<_>>()
    );
    assert!(path.join("run/model/model.safetensors").is_file(), "the best model is back");
    stdout(&kiln(path, ["eval", "--model", "run", "--data", "run/config.toml"]));
}

#[test]
fn a_configuration_that_contradicts_the_checkpoint_is_refused_key_by_key() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=6"]);
    assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    let resume = |set: &[&str]| {
        let set = set.iter().flat_map(|change| ["--set", change]);
        kiln(path, ["train", "--plain", "--run-dir", "run", "--resume"].into_iter().chain(set))
    };
    let refused = resume(&["model.n_layers=3", "optimizer.learning_rate=0.1", "training.steps=9"]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("model.n_layers = 3, the checkpoint has 2"), "{message}");
    assert!(message.contains("optimizer.learning_rate = 0.1, the checkpoint has 0.003"), "{message}");
    assert!(!message.contains("training.steps ="), "{message}");
    let before = resume(&["training.steps=3"]);
    assert!(String::from_utf8_lossy(&before.stderr).contains("step 6 is done already"));
    stdout(&resume(&["training.steps=9", "training.eval_interval=2", "generation.max_tokens=3"]));
    assert_eq!(lines(&path.join("run")).iter().filter(|line| line["split"] == "train").count(), 9);
}

#[test]
fn one_run_directory_has_one_process() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=1000000"]);
    let mut first = command.spawn().expect("it runs");
    while checkpoints(&path.join("run")).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = kiln(path, ["train", "--plain", "--run-dir", "run", "--resume"]);
    first.kill().expect("it can be killed");
    first.wait().expect("it ends");
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && message.contains("another process is training here"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_removed_directory_stays_removed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=1000000"]).stderr(Stdio::piped());
    let child = command.spawn().expect("it runs");
    while checkpoints(&path.join("run")).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::rename(path.join("run"), path.join("elsewhere")).expect("it can be moved");
    let output = child.wait_with_output().expect("it ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("the run directory is gone"), "{message}");
    assert!(!path.join("run").exists());
    // What it left is a run that continues.
    let done = lines(&path.join("elsewhere")).len() as u64;
    let steps = format!("training.steps={}", done + 100);
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "elsewhere", "--resume", "--set", &steps]));
}

/// A limit on the size of files stands for a full disk: the checkpoint before stays.
#[cfg(unix)]
#[test]
fn no_room_is_an_error_and_harms_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=10"]);
    assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    let binary = env!("CARGO_BIN_EXE_kiln");
    let script =
        format!("ulimit -f 200; exec {binary} train --plain --run-dir run --resume --set training.steps=40");
    let full = Command::new("sh").args(["-c", &script]).current_dir(path).output().expect("a shell");
    let message = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(1), "{message}");
    assert!(message.to_lowercase().contains("too large"), "{message}");
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "run", "--resume", "--set", "training.steps=12"]));
    assert_eq!(lines(&path.join("run")).iter().filter(|line| line["split"] == "train").count(), 12);
}

/// `batch_size` is the meaning of a step, however many windows are computed at a time.
#[test]
fn micro_batches_change_nothing_but_rounding() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let run = |name: &str, micro_batch: &str| {
        let mut command = begin(path, name);
        command.args([
            "--set",
            "training.batch_size=6",
            "--set",
            "model.dropout=0.0",
            "--set",
            "training.steps=20",
        ]);
        command.args(["--set", &format!("training.micro_batch_size={micro_batch}")]);
        assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
        lines(&path.join(name))
    };
    let whole = run("whole", "6");
    for (name, micro_batch) in [("single", "1"), ("uneven", "4")] {
        let parts = run(name, micro_batch);
        assert_eq!(parts.len(), whole.len());
        for (a, b) in parts.iter().zip(&whole) {
            let (a, b) = (a["loss"].as_f64().expect("a loss"), b["loss"].as_f64().expect("a loss"));
            assert!((a - b).abs() / b <= 1e-5, "{name}: {a} and {b}");
        }
    }
    let sizes = ["training.batch_size=100000000", "training.micro_batch_size=100000000"];
    let refused = train(path, sizes.into_iter().flat_map(|change| ["--set", change]));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("is the largest that fits"), "{message}");
}
