//! Runs that check often, how to stop and continue them, and how to tell whether two are the same.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::TINY;
use safetensors::SafeTensors;
use serde_json::Value;

/// Steps between evaluations.
pub const EVALUATION: usize = 12;

/// Dropout on, evaluations and checkpoints often, so that a kill may meet any of them.
pub const OFTEN: [&str; 20] = [
    "--set",
    "model.dropout=0.2",
    "--set",
    "training.steps=60",
    "--set",
    "training.eval_interval=12",
    "--set",
    "training.eval_batches=20",
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

pub fn begin(folder: &Path, run: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(["train", "--plain", "--run-dir", run]).args(TINY).args(OFTEN).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub fn resume(folder: &Path, run: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(["train", "--plain", "--run-dir", run, "--resume"]).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The lines without what depends on the clock.
pub fn lines(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("a run writes its metrics");
    let line = |line| {
        let mut line: Value = serde_json::from_str(line).expect("one object a line");
        let object = line.as_object_mut().expect("an object");
        assert!(object.remove("seconds").is_some() && object.remove("tokens_per_second").is_some());
        line
    };
    text.lines().map(line).collect()
}

pub fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoint")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("readable").path());
    let is_whole =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"));
    paths.filter(is_whole).collect()
}

/// Begins the run, or lets it go on where it has a checkpoint to go on from.
pub fn go_on(folder: &Path, run: &str, more: &[&str]) -> Child {
    let begun = !checkpoints(&folder.join(run)).is_empty();
    let mut command = if begun { resume(folder, run) } else { begin(folder, run) };
    command.args(more).spawn().expect("it runs")
}

/// Whether two finished runs are the same: their lines, their best models, and the steps that would follow, which tell
/// of every weight and every moment. `tolerance` is relative; 0 asks for the same bits.
pub fn assert_same(folder: &Path, [one, other]: [&str; 2], steps: usize, more: &[&str], tolerance: f64) {
    let (a, b) = (folder.join(one), folder.join(other));
    let read = |run: &Path, name: &str| std::fs::read(run.join(name)).expect("readable");
    let (model_a, model_b) = (read(&a, "model/model.safetensors"), read(&b, "model/model.safetensors"));
    if tolerance == 0.0 {
        assert_eq!(read(&a, "samples.jsonl"), read(&b, "samples.jsonl"));
        assert!(model_a == model_b, "the best models differ");
    } else {
        let distance = distance(&model_a, &model_b);
        assert!(distance <= tolerance, "the best models differ by {distance}");
    }
    assert_same_lines(&a, &b, tolerance);
    let steps = steps + 4;
    for run in [one, other] {
        let mut command = resume(folder, run);
        command.args(more).args(["--set", &format!("training.steps={steps}")]);
        assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    }
    let lines = assert_same_lines(&a, &b, tolerance);
    assert_eq!(lines.iter().filter(|line| line["split"] == "train").count(), steps);
}

/// Compares the lines of two runs, and returns them.
pub fn assert_same_lines(a: &Path, b: &Path, tolerance: f64) -> Vec<Value> {
    let (a, b) = (lines(a), lines(b));
    if tolerance == 0.0 {
        assert_eq!(a, b);
    }
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert_eq!((&a["step"], &a["split"], &a["tokens"]), (&b["step"], &b["split"], &b["tokens"]));
        let (loss, other) = (a["loss"].as_f64().expect("a loss"), b["loss"].as_f64().expect("a loss"));
        assert!((loss - other).abs() <= tolerance * other, "{a} and {b}");
    }
    a
}

/// Largest relative distance of two models' tensors.
pub fn distance(a: &[u8], b: &[u8]) -> f64 {
    let [a, b] = [a, b].map(|bytes| SafeTensors::deserialize(bytes).expect("a model file"));
    let numbers = |bytes: &[u8]| -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
    };
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let distance = |(name, a): (String, safetensors::tensor::TensorView)| {
        let (a, b) = (numbers(a.data()), numbers(b.tensor(&name).expect("the same tensors").data()));
        norm(&a.iter().zip(&b).map(|(a, b)| a - b).collect::<Vec<_>>()) / norm(&b)
    };
    a.tensors().into_iter().map(distance).fold(0.0, f64::max)
}

pub fn wait(mut child: Child) -> Option<i32> {
    child.wait().expect("it ends").code()
}

/// Pseudo-random moments that differ from run to run would make a failure hard to repeat.
pub fn moments(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
}
