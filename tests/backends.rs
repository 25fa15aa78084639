//! The same training on every backend of this build: from one seed, twenty steps must lose alike.
//!
//! A build with several backends compares them:
//! `cargo test --release --features flex,tch,wgpu --test backends`.

use std::path::Path;
use std::process::Command;

/// Step losses of a run with dropout 0 on one backend.
fn losses(backend: &str, folder: &Path) -> Vec<f64> {
    let run = folder.join(backend);
    let output = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(["train", "--plain", "--backend", backend, "--run-dir"])
        .arg(&run)
        .args([
            "--set",
            "data.tales_bytes=60000",
            "--set",
            "model.context_length=32",
            "--set",
            "model.d_model=48",
        ])
        .args(["--set", "model.n_layers=2", "--set", "training.steps=20", "--set", "training.batch_size=4"])
        .args(["--set", "training.grad_accumulation=2", "--set", "training.eval_interval=10"])
        .args(["--set", "training.eval_batches=2", "--set", "generation.max_tokens=8"])
        .args(["--set", "schedule.warmup_steps=5"])
        .current_dir(folder)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{backend}: {}", String::from_utf8_lossy(&output.stderr));
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).expect("a run writes its metrics");
    let lines =
        lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("one object a line"));
    lines
        .filter(|line| line["split"] == "train")
        .map(|line| line["loss"].as_f64().expect("a finite loss"))
        .collect()
}

#[test]
fn every_backend_trains_alike() {
    let backends: Vec<&str> = [
        ("ndarray", cfg!(feature = "ndarray")),
        ("flex", cfg!(feature = "flex")),
        ("tch", cfg!(feature = "tch")),
        ("wgpu", cfg!(feature = "wgpu")),
    ]
    .into_iter()
    .filter_map(|(name, built)| built.then_some(name))
    .collect();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let all: Vec<Vec<f64>> = backends.iter().map(|backend| losses(backend, folder.path())).collect();

    let first = &all[0];
    assert_eq!(first.len(), 20);
    assert!(first[19] < first[0] - 0.5, "twenty steps must teach something: {first:?}");
    for (backend, losses) in backends.iter().zip(&all) {
        for (step, (ours, reference)) in losses.iter().zip(first).enumerate() {
            let difference = (ours - reference).abs();
            assert!(difference <= 1e-3, "{backend}, step {}: {ours} against {reference}", step + 1);
        }
    }
}
