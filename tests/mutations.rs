//! What tests/reference.rs compares depends on every field of a configuration: with one of them changed, a model that
//! `transformers` saved computes something else, or is refused by name.
//!
//! Not here are fields of training alone (`attention_dropout`, `initializer_range`), `max_position_embeddings`, which is a
//! limit, and `tie_word_embeddings` where a file holds a head of its own, which then counts.

mod common;

use std::path::Path;

use burn_ndarray::NdArray;
use common::fixtures::{Case, cases, distance};
use kiln_model::load;
use serde_json::{Value, json};

/// Ten times what tests/reference.rs allows.
const BAR: f64 = 1e-3;

/// What a changed configuration leads to.
enum Outcome {
    /// Other logits.
    Differs,
    /// A message with these words.
    Refused(&'static str),
}
use Outcome::{Differs, Refused};

/// A fixture, fields of its `config.json` with other values, and what comes of it. Several fields change together where
/// weights fit only so.
type Mutation = (&'static str, Value, Outcome);

fn of_llama() -> Vec<Mutation> {
    vec![
        ("llama", json!({"rms_norm_eps": 1e-2}), Differs),
        ("llama", json!({"rope_parameters/rope_theta": 600.0}), Differs),
        ("llama", json!({"rope_parameters/rope_type": "linear", "rope_parameters/factor": 2.0}), Differs),
        ("llama", json!({"rope_parameters/partial_rotary_factor": 0.5}), Refused("partial_rotary_factor")),
        ("llama", json!({"hidden_act": "gelu"}), Differs),
        ("llama", json!({"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 24}), Differs),
        ("llama", json!({"num_key_value_heads": 4}), Refused("layers.0.self_attn.k_proj.weight")),
        ("llama", json!({"num_attention_heads": 2}), Refused("layers.0.self_attn.q_proj.weight")),
        ("llama", json!({"head_dim": 6}), Refused("layers.0.self_attn.q_proj.weight")),
        ("llama", json!({"attention_bias": true}), Refused("`layers.0.self_attn.q_proj.bias` is missing")),
        ("llama", json!({"mlp_bias": true}), Refused("`layers.0.mlp.up_proj.bias` is missing")),
        ("llama", json!({"intermediate_size": 40}), Refused("layers.0.mlp.up_proj.weight")),
        (
            "llama",
            json!({"num_hidden_layers": 1}),
            Refused("`layers.1.input_layernorm.weight` is no parameter"),
        ),
        ("llama", json!({"num_hidden_layers": 3}), Refused("`layers.2.input_layernorm.weight` is missing")),
        ("llama", json!({"model_type": "qwen3"}), Refused("`layers.0.self_attn.q_norm.weight` is missing")),
        ("llama", json!({"model_type": "gpt2"}), Refused("hidden_size")),
        ("llama-tied-biases", json!({"tie_word_embeddings": false}), Refused("`lm_head.weight` is missing")),
        (
            "llama-tied-biases",
            json!({"attention_bias": false}),
            Refused("self_attn.k_proj.bias` is no parameter"),
        ),
        ("llama-tied-biases", json!({"mlp_bias": false}), Refused("mlp.down_proj.bias` is no parameter")),
    ]
}

fn of_scaling() -> Vec<Mutation> {
    vec![
        ("llama3", json!({"rope_parameters/rope_type": "default"}), Differs),
        ("llama3", json!({"rope_parameters/factor": 9.0}), Differs),
        ("llama3", json!({"rope_parameters/low_freq_factor": 0.5}), Differs),
        ("llama3", json!({"rope_parameters/high_freq_factor": 5.0}), Differs),
        ("llama3", json!({"rope_parameters/original_max_position_embeddings": 20}), Differs),
        ("llama3", json!({"rope_parameters/rope_type": "yarn"}), Refused("rope_type \"yarn\"")),
        ("llama-linear", json!({"rope_parameters/factor": 5.0}), Differs),
        ("llama-linear", json!({"hidden_act": "silu"}), Differs),
    ]
}

fn of_qwen() -> Vec<Mutation> {
    vec![
        ("qwen2", json!({"model_type": "llama"}), Refused("self_attn.k_proj.bias` is no parameter")),
        ("qwen2", json!({"num_attention_heads": 2, "num_key_value_heads": 1}), Differs),
        ("qwen2", json!({"use_sliding_window": true}), Refused("use_sliding_window")),
        ("qwen2", json!({"rms_norm_eps": 1e-2}), Differs),
        ("qwen3", json!({"model_type": "llama"}), Refused("self_attn.k_norm.weight` is no parameter")),
        ("qwen3", json!({"rms_norm_eps": 1e-2}), Differs),
        ("qwen3", json!({"head_dim": 8}), Refused("layers.0.self_attn.q_proj.weight")),
        ("qwen3-biases", json!({"attention_bias": false}), Refused("self_attn.k_proj.bias` is no parameter")),
    ]
}

fn of_gpt2() -> Vec<Mutation> {
    vec![
        ("plain", json!({"scale_attn_weights": false}), Differs),
        ("plain", json!({"scale_attn_by_inverse_layer_idx": true}), Differs),
        ("plain", json!({"layer_norm_epsilon": 1e-1}), Differs),
        ("plain", json!({"activation_function": "relu"}), Differs),
        ("plain", json!({"n_head": 2}), Differs),
        ("plain", json!({"n_inner": 32}), Refused("h.0.mlp.c_fc.weight")),
    ]
}

/// The fixture with some fields of its configuration changed, in `folder`.
fn write_changed(case: &Case, changes: &Value, folder: &Path) {
    let text = std::fs::read_to_string(case.directory.join("config.json")).expect("the fixtures are whole");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    for (key, value) in changes.as_object().expect("fields") {
        let field = key.split('/').fold(&mut config, |inner, name| &mut inner[name]);
        assert_ne!(field, value, "{key} changes");
        *field = value.clone();
    }
    std::fs::write(folder.join("config.json"), config.to_string()).expect("writable");
    std::fs::copy(case.directory.join("model.safetensors"), folder.join("model.safetensors"))
        .expect("writable");
}

#[test]
fn every_field_of_a_configuration_matters() {
    let (cases, device) = (cases(), Default::default());
    let mutations = [of_llama(), of_scaling(), of_qwen(), of_gpt2()];
    for (name, changes, outcome) in mutations.into_iter().flatten() {
        let case = cases.iter().find(|case| case.name == name).expect("a fixture");
        let folder = tempfile::tempdir().expect("a temporary directory");
        write_changed(case, &changes, folder.path());
        match (load::<NdArray>(folder.path(), &device), outcome) {
            (Ok(model), Differs) => {
                let logits = model.forward(case.tokens("tokens", &device)).into_data();
                let logits: Vec<f64> = logits.iter::<f64>().collect();
                let difference = distance(&logits, &case.tensors["logits"].1);
                assert!(difference > BAR, "{name} with {changes}: logits differ by {difference} only");
            }
            (Err(error), Refused(words)) => {
                let told = error.to_string();
                assert!(told.contains(words), "{name} with {changes}: no {words:?} in: {told}");
            }
            (Ok(_), Refused(_)) => panic!("{name} with {changes} is opened"),
            (Err(error), Differs) => panic!("{name} with {changes}: {error}"),
        }
    }
}
