//! Training in bf16 beside f32 weights: it learns what f32 does, resumes exactly, and is refused where there is none.

#![cfg(any(feature = "ndarray", feature = "tch"))]

mod common;

use std::path::Path;

use common::train;
#[cfg(feature = "tch")]
use common::{kiln, losses, stdout};

fn run(folder: &Path, name: &str, backend: &str, settings: &[&str]) -> std::process::Output {
    let set = settings.iter().flat_map(|setting| ["--set", setting]);
    train(folder, ["--backend", backend, "--run-dir", name].into_iter().chain(set))
}

#[cfg(feature = "tch")]
const TWO_HUNDRED: [&str; 4] =
    ["training.steps=200", "schedule.decay_steps=200", "training.eval_interval=100", "training.batch_size=8"];

#[cfg(feature = "tch")]
#[test]
fn bf16_learns_what_f32_does() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let run = |name: &str, precision: &str| {
        let settings: Vec<&str> = TWO_HUNDRED.into_iter().chain([precision]).collect();
        stdout(&run(folder.path(), name, "tch", &settings));
        losses(&folder.path().join(name))
    };
    let exact = run("f32", "training.precision=f32");
    let rounded = run("bf16", "training.precision=bf16");
    assert_eq!(rounded.len(), 200);
    assert_ne!(exact, rounded, "nothing was rounded");
    assert!(rounded.iter().all(|(_, loss)| loss.is_finite()));
    for (exact, rounded) in exact.chunks(20).zip(rounded.chunks(20)) {
        let mean = |losses: &[(u64, f64)]| losses.iter().map(|(_, loss)| loss).sum::<f64>() / 20.0;
        let ratio = mean(rounded) / mean(exact);
        assert!((ratio - 1.0).abs() < 0.01, "up to step {}: {ratio} of the loss in f32", exact[19].0);
    }
}

/// A checkpoint holds f32 weights and moments: nothing is rounded on the way through it.
#[cfg(feature = "tch")]
#[test]
fn a_resumed_run_in_bf16_goes_on_exactly() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let bf16 = |name: &str, more: &[&str]| {
        let settings: Vec<&str> =
            TWO_HUNDRED.into_iter().chain(["training.precision=bf16"]).chain(more.iter().copied()).collect();
        stdout(&run(folder.path(), name, "tch", &settings));
    };
    bf16("whole", &[]);
    bf16("parts", &["training.steps=100"]);
    let resume = ["train", "--plain", "--backend", "tch", "--run-dir", "parts", "--resume"];
    stdout(&kiln(folder.path(), resume.into_iter().chain(["--set", "training.steps=200"])));
    let [whole, parts] = ["whole", "parts"].map(|name| losses(&folder.path().join(name)));
    assert_eq!(parts.len(), 200);
    for ((step, whole), (_, parts)) in whole.iter().zip(&parts) {
        assert!((whole - parts).abs() < 1e-5, "step {step}: {parts} instead of {whole}");
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_refuses_bf16() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let output = run(folder.path(), "refused", "ndarray", &["training.precision=bf16"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("cannot train in bf16") && message.contains("hint:"), "{message}");
    assert!(!folder.path().join("refused").exists(), "nothing was written");
}
