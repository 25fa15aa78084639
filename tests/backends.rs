//! The same training on every backend of this build: from one seed, twenty steps must lose alike.
//!
//! A build with several backends compares them:
//! `cargo test --release --features flex,tch,wgpu --test backends`.

mod common;

use std::path::Path;

use common::{kiln, losses, stdout};

/// Twenty steps on one backend, without dropout: as many losses.
fn run(backend: &str, folder: &Path) -> Vec<f64> {
    let args = ["train", "--plain", "--backend", backend, "--run-dir", backend];
    let settings = [
        "data.tales_bytes=60000",
        "model.context_length=32",
        "model.d_model=48",
        "model.n_layers=2",
        "training.steps=20",
        "training.batch_size=4",
        "training.grad_accumulation=2",
        "training.eval_interval=10",
        "training.eval_batches=2",
        "generation.max_tokens=8",
        "schedule.warmup_steps=5",
    ];
    let set = settings.iter().flat_map(|setting| ["--set", setting]);
    stdout(&kiln(folder, args.into_iter().chain(set)));
    losses(&folder.join(backend)).into_iter().map(|(_, loss)| loss).collect()
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
    let all: Vec<Vec<f64>> = backends.iter().map(|backend| run(backend, folder.path())).collect();

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
