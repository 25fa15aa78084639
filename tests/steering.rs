//! Steering from the command line: features of an autoencoder, and control vectors.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use burn_ndarray::NdArray;
use common::{kiln, refuse, stdout};
use kiln_datasets::Tokenizer;
use kiln_model::{
    ControlVector, Dtype, GptConfig, GptModel, SaeConfig, SaeWeights, Site, SparseAutoencoder, SpecialTokens,
};
use serde_json::Value;
use tempfile::TempDir;

const WIDTH: usize = 16;
const FEATURES: usize = 8;

/// Numbers without a pattern, from -1 to 1.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    (0..count as u64).map(|index| (kiln_datasets::mix(seed, index) % 2001) as f32 / 1000.0 - 1.0).collect()
}

/// A model with random weights in `model/`, an autoencoder of it in `sae/`, and a control vector of it in `up.gguf`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tokenizer = Tokenizer::open("byte").expect("built in");
    let config = GptConfig {
        vocab_size: tokenizer.vocab_size(),
        context_length: 200,
        init_std: 0.2,
        ..GptConfig::new(3, 2, WIDTH)
    };
    let model: GptModel<NdArray> = config.init(11, &Default::default()).expect("valid");
    let path = folder.path().join("model");
    kiln_model::save(&model, &path, Dtype::F32, &SpecialTokens::default()).expect("writable");
    tokenizer.save(&path).expect("writable");

    let config = SaeConfig { mean_norm: Some(3.0), ..SaeConfig::new(WIDTH, FEATURES, Site::ResidPost(1)) };
    let mut weights = SaeWeights {
        w_enc: numbers(1, WIDTH * FEATURES),
        b_enc: numbers(2, FEATURES),
        w_dec: numbers(3, WIDTH * FEATURES),
        b_dec: numbers(4, WIDTH),
        threshold: vec![0.1; FEATURES],
    };
    for row in weights.w_dec.chunks_mut(WIDTH) {
        let norm = row.iter().map(|number| number * number).sum::<f32>().sqrt();
        row.iter_mut().for_each(|number| *number /= norm);
    }
    let directions = BTreeMap::from([(1, weights.w_dec[3 * WIDTH..4 * WIDTH].to_vec())]);
    let sae = SparseAutoencoder::<NdArray>::new(config, weights, &Default::default());
    sae.save(&folder.path().join("sae")).expect("writable");
    let vector = ControlVector { directions, model_hint: "gpt2".to_owned(), mean_norm: None };
    vector.save(&folder.path().join("up.gguf")).expect("writable");
    folder
}

fn text(folder: &Path, options: &[&str]) -> String {
    let fixed =
        ["generate", "--model", "model", "--prompt", "a fox", "--seed", "5", "--max-tokens", "40", "--json"];
    let output = kiln(folder, fixed.into_iter().chain(options.iter().copied()));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("one object");
    json["tokens"].to_string()
}

#[test]
fn a_feature_is_turned_and_strength_zero_changes_nothing() {
    let folder = folder();
    let text = |options: &[&str]| text(folder.path(), options);
    let plain = text(&[]);
    let feature = ["--sae", "sae", "--steer-mode", "add", "--steer"];
    let add = |strength: &str, more: &[&str]| text(&[&feature[..], &[strength], more].concat());
    assert_eq!(add("3=0", &[]), plain);
    let up = add("3=2", &[]);
    assert_ne!(up, plain);
    // 2 in units of the mean norm, 3, are 6 of a direction of length 1: the control vector, which llama.cpp adds too.
    assert_eq!(text(&["--control-vector", "up.gguf=6"]), up);
    assert_eq!(add("3=6", &["--steer-unit", "raw"]), up);
    let export = ["steer", "export", "--sae", "sae", "--feature", "3", "--to", "feature.gguf"];
    stdout(&kiln(folder.path(), export));
    assert_eq!(text(&["--control-vector", "feature.gguf=2"]), up);
    assert_eq!(add("3=2", &["--no-kv-cache"]), up);
    assert_ne!(add("3=2", &["--steer-positions", "generated"]), up);
    assert_ne!(text(&["--sae", "sae", "--steer", "3=2"]), plain);
    assert_ne!(
        text(&["--sae", "sae", "--steer", "3=2", "--steer", "4=-2"]),
        text(&["--sae", "sae", "--steer", "3=2"])
    );
}

#[test]
fn scores_and_losses_are_those_of_the_steered_model() {
    let folder = folder();
    std::fs::write(folder.path().join("text.txt"), "a fox and a box\n".repeat(20)).expect("writable");
    let loss = |command: &[&str], options: &[&str]| {
        let output = kiln(folder.path(), command.iter().chain(options).copied());
        let json: Value = serde_json::from_str(&stdout(&output)).expect("one object");
        json["loss"].as_f64().expect("a number")
    };
    for command in [
        &["score", "--model", "model", "--text", "a fox and a box", "--json"][..],
        &["eval", "--model", "model", "--data", "text.txt", "--json"],
    ] {
        let plain = loss(command, &[]);
        assert_eq!(loss(command, &["--control-vector", "up.gguf=0"]), plain);
        assert!((loss(command, &["--control-vector", "up.gguf=4"]) - plain).abs() > 1e-3);
    }
}

#[test]
fn what_cannot_be_steered_is_refused() {
    let folder = folder();
    let path = folder.path();
    let generate = |options: &[&'static str], words: &[&str]| {
        let fixed = ["generate", "--model", "model", "--prompt", "a"];
        refuse(path, fixed.into_iter().chain(options.iter().copied()), words);
    };
    generate(&["--sae", "sae", "--steer", "8=1"], &["feature 8", "0 to 7"]);
    generate(&["--sae", "sae", "--steer", "fox=1"], &["number of a feature"]);
    generate(&["--steer", "1=1"], &["--sae"]);
    generate(&["--sae", "model", "--steer", "1=1"], &["model", "no sparse autoencoder"]);
    generate(&["--sae", "sae", "--steer", "1=1", "--steer-unit", "max"], &["how active"]);
    generate(&["--control-vector", "model/model.safetensors"], &["GGUF"]);
    generate(&["--control-vector", "nothing.gguf"], &["nothing.gguf"]);
    let wide = ControlVector { directions: BTreeMap::from([(2, vec![1.0; 17])]), ..Default::default() };
    wide.save(&path.join("wide.gguf")).expect("writable");
    generate(&["--control-vector", "wide.gguf"], &["wide", "17 numbers", "16 wide"]);
    let deep = ControlVector { directions: BTreeMap::from([(3, vec![1.0; WIDTH])]), ..Default::default() };
    deep.save(&path.join("deep.gguf")).expect("writable");
    generate(&["--control-vector", "deep.gguf"], &["block 3", "3 blocks"]);
}
