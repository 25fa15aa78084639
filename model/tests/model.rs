//! The model as a whole: causality, the cache, and files.

use burn::tensor::{Int, Tensor, Tolerance};
use burn_ndarray::NdArray;
use kiln_model::{Dtype, GptConfig, GptModel, KvCache, load, save};

type B = NdArray;

fn config() -> GptConfig {
    GptConfig { vocab_size: 33, context_length: 16, init_std: 0.2, ..GptConfig::new(3, 2, 16) }
}

fn tokens(values: &[i64]) -> Tensor<B, 2, Int> {
    Tensor::<B, 1, Int>::from_ints(values, &Default::default()).unsqueeze()
}

fn model(config: &GptConfig) -> GptModel<B> {
    config.init(7, &Default::default()).expect("valid")
}

#[test]
fn the_future_does_not_reach_the_past() {
    let model = model(&config());
    let logits = model.forward(tokens(&[1, 2, 3, 4, 5, 6]));
    let changed = model.forward(tokens(&[1, 2, 3, 4, 9, 30]));
    let (same, same_changed) = (logits.clone().narrow(1, 0, 4), changed.clone().narrow(1, 0, 4));
    same.into_data().assert_eq(&same_changed.into_data(), true);
    let difference: f32 = (logits - changed).narrow(1, 4, 2).abs().max().into_scalar();
    assert!(difference > 1e-3, "changed tokens must change their own positions");
}

#[test]
fn cached_decoding_equals_the_whole_sequence() {
    let model = model(&config());
    let ids: Vec<i64> = (0..16).map(|i| (i * 7 + 3) % 33).collect();
    let whole = model.forward(tokens(&ids));
    // The prompt in two chunks, then one token at a time.
    let mut cache = KvCache::new(model.config(), 1, &Default::default());
    let mut seen = 0;
    for new in [5, 3, 1, 1, 1, 1, 1, 1, 1, 1] {
        let logits = model.forward_cached(tokens(&ids[seen..seen + new]), &mut cache);
        seen += new;
        let expected = whole.clone().narrow(1, seen - 1, 1).reshape([1, 33]);
        logits.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
    assert_eq!(cache.len(), 16);
}

#[test]
fn loss_is_the_mean_negative_log_probability_of_the_targets() {
    let model = model(&config());
    let (input, targets) = (tokens(&[1, 2, 3, 4]), tokens(&[2, 3, 4, 5]));
    let logits: Vec<f32> = model.forward(input.clone()).into_data().to_vec().expect("f32");
    let expected: f64 = logits
        .chunks(33)
        .zip([2, 3, 4, 5])
        .map(|(row, target)| {
            let sum: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
            sum.ln() - f64::from(row[target])
        })
        .sum::<f64>()
        / 4.0;
    let loss = f64::from(model.loss(input, targets).into_scalar());
    assert!((loss - expected).abs() < 1e-5, "{loss} differs from {expected}");
}

#[test]
fn a_seed_means_the_same_weights_and_another_seed_others() {
    let weights = |seed| {
        let model: GptModel<B> = config().init(seed, &Default::default()).expect("valid");
        model.h[2].mlp.c_proj.weight.val().into_data()
    };
    weights(1).assert_eq(&weights(1), true);
    assert_ne!(weights(1), weights(2));
}

#[test]
fn initial_weights_have_the_spread_of_gpt2() {
    let config = GptConfig { vocab_size: 500, ..GptConfig::new(8, 2, 64) };
    let model = model(&config);
    let std = |weight: Tensor<B, 2>| -> f32 { weight.square().mean().sqrt().into_scalar() };
    assert!((std(model.wte.weight.val()) - 0.02).abs() < 0.001);
    assert!((std(model.h[0].attn.c_attn.weight.val()) - 0.02).abs() < 0.001);
    assert!((std(model.h[0].mlp.c_proj.weight.val()) - 0.005).abs() < 0.0005);
    let bias: f32 = model.h[0].mlp.c_fc.bias.as_ref().expect("biases").val().abs().max().into_scalar();
    assert_eq!(bias, 0.0);
}

#[test]
fn saved_and_loaded_models_agree() {
    let variants = [
        config(),
        GptConfig { bias: false, ..config() },
        GptConfig { tied_head: false, d_ff: 40, ..config() },
    ];
    for config in variants {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let model = model(&config);
        save(&model, directory.path(), Dtype::F32, Some(0)).expect("writable");
        let loaded: GptModel<B> = load(directory.path(), &Default::default()).expect("just written");
        assert_eq!(loaded.config(), &config);
        let ids = [3, 1, 4, 1, 5, 9, 2, 6];
        model.forward(tokens(&ids)).into_data().assert_eq(&loaded.forward(tokens(&ids)).into_data(), true);
    }
}

#[test]
fn broken_directories_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let refusal = || load::<B>(path, &Default::default()).expect_err("not a model").to_string();
    assert!(refusal().contains("no model here"), "{}", refusal());

    save(&model(&config()), path, Dtype::F32, None).expect("writable");
    let weights = path.join("model.safetensors");
    let whole = std::fs::read(&weights).expect("just written");
    std::fs::write(&weights, &whole[..whole.len() / 2]).expect("writable");
    assert!(refusal().contains("model.safetensors"), "{}", refusal());

    std::fs::write(&weights, &whole).expect("writable");
    let text = std::fs::read_to_string(path.join("config.json")).expect("just written");
    std::fs::write(path.join("config.json"), text.replace("\"n_layer\": 3", "\"n_layer\": 4"))
        .expect("writable");
    assert!(refusal().contains("`h.3.ln_1.weight` is missing"), "{}", refusal());
    std::fs::write(path.join("config.json"), text.replace("gpt2", "llama")).expect("writable");
    assert!(refusal().contains("llama"), "{}", refusal());
}
