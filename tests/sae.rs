//! `kiln sae`: autoencoders are learned, resume to the last bit, measured, and described.

mod common;

use std::path::Path;

use common::{kiln, refuse, stdout, train};
use serde_json::Value;

/// A tiny model of the embedded corpus.
fn model(folder: &Path) {
    let args = ["--run-dir", "base", "--set", "training.steps=3", "--set", "tokenizer.kind=bpe"];
    let args =
        args.into_iter().chain(["--set", "tokenizer.vocab_size=300", "--set", "model.context_length=32"]);
    stdout(&train(folder, args));
}

/// Options of a run that takes moments.
const SMALL: [&str; 12] = [
    "--d-sae",
    "64",
    "--k",
    "4",
    "--steps",
    "12",
    "--set",
    "training.batch_size=128",
    "--set",
    "training.eval_interval=6",
    "--set",
    "training.checkpoint_interval=5",
];

fn learn<'a>(folder: &Path, out: &'a str, more: &[&'a str]) -> String {
    let args = ["sae", "train", "--plain", "--model", "base", "--out", out].into_iter();
    stdout(&kiln(folder, args.chain(SMALL).chain(more.iter().copied())))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("readable")).expect("JSON")
}

/// Cuts a run back to what it had when the checkpoint of `step` was written, as a kill just after it would have left it.
fn cut_back(run: &Path, step: usize) {
    for entry in std::fs::read_dir(run.join("checkpoint")).expect("checkpoints") {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let of: usize = name.trim_start_matches("step-").parse().expect("a number");
        if of > step {
            std::fs::remove_dir_all(path).expect("removable");
        }
    }
}

#[test]
fn a_run_that_resumes_learns_the_same_weights() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    model(path);
    // So many that some are silent for a while.
    let many = ["--set", "sae.d_sae=512", "--set", "sae.dead_after=200"];
    learn(path, "whole", &many);
    learn(path, "again", &[&many[..], &["--set", "training.keep_checkpoints=9"]].concat());
    let weights = |run: &str| {
        std::fs::read(path.join(run).join("model/sae_weights.safetensors")).expect("it was written")
    };
    assert!(weights("whole") == weights("again"), "a seed is not one autoencoder");
    cut_back(&path.join("again"), 5);
    stdout(&kiln(path, ["sae", "train", "--plain", "--out", "again", "--resume"]));
    assert!(weights("whole") == weights("again"), "the resumed run learned something else");
    // What counts as dead is part of a checkpoint: features that were silent before it still are.
    let dead = |run: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(path.join(run).join("metrics.jsonl")).expect("readable");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.map(|line| line["sparsity/dead_features"].clone()).collect()
    };
    assert_eq!(dead("whole"), dead("again"));
    assert!(dead("whole").iter().any(|share| share.as_f64() > Some(0.0)), "no feature was ever dead");
}

#[test]
fn an_autoencoder_is_measured_and_described() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    model(path);
    learn(path, "dictionary", &["--hook", "blocks.1.hook_resid_mid"]);
    let cfg = json(&path.join("dictionary/model/cfg.json"));
    assert_eq!(cfg["architecture"], "jumprelu");
    assert_eq!(cfg["metadata"]["hook_name"], "blocks.1.hook_resid_mid");

    let common = ["--model", "base", "--tokens", "6000"];
    let eval = ["sae", "eval", "dictionary", "--json", "--control"].into_iter().chain(common);
    let report: Value = serde_json::from_str(&stdout(&kiln(path, eval))).expect("one object");
    for key in ["l0", "explained_variance", "cossim", "ce_loss_score", "kl_div_score", "frac_alive"] {
        assert!(report[key].is_number() && report["control"][key].is_number(), "{key}: {report}");
    }
    // The threshold was found on other texts of the same kind.
    assert!((report["l0"].as_f64().expect("a number") - 4.0).abs() < 0.6, "{report}");

    let features = ["sae", "features", "dictionary", "--html", "page.html", "--json", "page.json"];
    let listed = stdout(&kiln(path, features.into_iter().chain(common)));
    assert!(listed.starts_with("64 features on "), "{listed}");
    let page = std::fs::read_to_string(path.join("page.html")).expect("it was written");
    for outside in ["http", "//", "@import", "fetch("] {
        assert!(!page.contains(outside), "the page reaches for {outside}");
    }
    let batch = json(&path.join("page.json"));
    let first = &batch["features"][0];
    assert_eq!(batch["layer"], 1);
    assert_eq!(first["pos_str"].as_array().map(Vec::len), Some(10));
    assert_eq!(first["vector"].as_array().map(Vec::len), Some(32));
    let found =
        stdout(&kiln(path, ["sae", "features", "dictionary", "--find", "the"].into_iter().chain(common)));
    assert!(found.contains("active before “the”"), "{found}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    model(path);
    let refused = |args: &[&'static str], words: &[&str]| {
        let args: Vec<&str> = ["sae", "train", "--model", "base"].iter().chain(args).copied().collect();
        refuse(path, args, words);
    };
    refused(&["--hook", "blocks.7.hook_resid_post"], &["blocks.7.hook_resid_post", "hint:"]);
    refused(&["--hook", "blocks.0.attn.hook_q"], &["not a place on the residual stream"]);
    refused(&["--k", "0"], &["sae.k = 0"]);
    refused(&["--k", "9", "--d-sae", "8"], &["sae.k = 9", "sae.d_sae = 8"]);
    refused(&["--set", "sae.context_length=99"], &["sae.context_length = 99", "32"]);
    refuse(path, ["sae", "eval", "base", "--model", "base"], &["no sparse autoencoder here", "cfg.json"]);
    refuse(path, ["sae", "train", "--out", "base", "--resume"], &["a run of `kiln train`"]);
    assert!(!path.join("runs").exists(), "a refused run leaves nothing");
}
