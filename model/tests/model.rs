//! The model as a whole: causality, the cache, and files.

use std::path::Path;

use burn::module::Param;
use burn::tensor::{Int, Tensor, Tolerance};
use burn_ndarray::NdArray;
use kiln_model::{
    Dtype, Error, GptConfig, GptModel, KvCache, SpecialTokens, load, load_config, save, unused_heads,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype as FileDtype, SafeTensors};

type B = NdArray;

fn config() -> GptConfig {
    GptConfig { vocab_size: 33, context_length: 16, init_std: 0.2, ..GptConfig::new(3, 2, 16) }
}

/// Choices of no published family, which are saved under Kiln's own name.
fn own_choices() -> GptConfig {
    let (n_kv_heads, head_dim) = (Some(2), Some(8));
    GptConfig {
        n_kv_heads,
        head_dim,
        embedding_norm: true,
        residual_scalars: true,
        logit_softcap: 2.5,
        zero_init: true,
        ..config()
    }
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

/// The same text twice, read from two places on: one sequence gets more room on the way.
#[test]
fn a_cache_that_grows_loses_nothing() {
    let model = model(&GptConfig { context_length: 150, ..config() });
    let ids: Vec<i64> = (0..150).map(|i| (i * 7 + 3) % 33).collect();
    let whole = model.forward(tokens(&ids));
    let starts = [140, 60];
    let mut cache = KvCache::stack(starts.map(|start| {
        let mut cache = KvCache::new(model.config(), 1, &Default::default());
        model.forward_cached(tokens(&ids[..start]), &mut cache);
        cache
    }));
    for step in 0..10 {
        let next = Tensor::cat(starts.map(|start| tokens(&ids[start + step..][..1])).to_vec(), 0);
        let logits = model.forward_cached(next, &mut cache);
        let expected = starts.map(|start| whole.clone().narrow(1, start + step, 1).reshape([1, 33]));
        let expected = Tensor::cat(expected.to_vec(), 0);
        logits.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
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

/// What a block adds starts at zero, and so do the logits; everything else is drawn as without.
#[test]
fn projections_start_at_zero_where_they_are_told_to() {
    let config = GptConfig { tied_head: false, ..config() };
    let (usual, zero) = (model(&config), model(&GptConfig { zero_init: true, ..config }));
    let data = |weight: &Param<Tensor<B, 2>>| weight.val().into_data();
    for (usual, zero) in usual.h.iter().zip(&zero.h) {
        for (usual, zero) in [(&usual.attn.c_attn, &zero.attn.c_attn), (&usual.mlp.c_fc, &zero.mlp.c_fc)] {
            assert_eq!(data(&usual.weight), data(&zero.weight));
        }
        for projection in [&zero.attn.c_proj, &zero.mlp.c_proj] {
            assert!(data(&projection.weight).iter::<f32>().all(|value| value == 0.0));
        }
    }
    assert_eq!(data(&usual.wte.weight), data(&zero.wte.weight));
    let loss = zero.loss(tokens(&[1, 2, 3]), tokens(&[2, 3, 4])).into_scalar();
    assert!((loss - 33f32.ln()).abs() < 1e-6, "{loss}");
    let tied = model(&GptConfig { tied_head: true, ..zero.config().clone() });
    assert_eq!(data(&usual.wte.weight), data(&tied.wte.weight));
}

#[test]
fn saved_and_loaded_models_agree() {
    let variants = [
        config(),
        GptConfig { bias: false.into(), ..config() },
        GptConfig { tied_head: false, d_ff: 40, ..config() },
        own_choices(),
    ];
    for config in variants {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut model = model(&config);
        if let Some(scalars) = &mut model.scalars {
            let numbers =
                |numbers: [f32; 3]| Param::from_tensor(Tensor::from_floats(numbers, &Default::default()));
            scalars.residual.weight = numbers([0.9, 1.2, 0.7]);
            scalars.embedding.weight = numbers([0.1, -0.2, 0.3]);
        }
        save(&model, directory.path(), Dtype::F32, &SpecialTokens::of_end_of_text(Some(0)))
            .expect("writable");
        let loaded: GptModel<B> = load(directory.path(), &Default::default()).expect("just written");
        assert_eq!(loaded.config(), &config);
        let ids = [3, 1, 4, 1, 5, 9, 2, 6];
        model.forward(tokens(&ids)).into_data().assert_eq(&loaded.forward(tokens(&ids)).into_data(), true);
    }
}

#[test]
fn the_norm_of_an_embedding_folds_into_a_table_that_is_no_head() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let model_type = |model: &GptModel<B>| {
        save(model, directory.path(), Dtype::F32, &SpecialTokens::default()).expect("writable");
        let text = std::fs::read_to_string(directory.path().join("config.json")).expect("just written");
        let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        file["model_type"].as_str().expect("a name").to_owned()
    };
    let untied = GptConfig { embedding_norm: true, tied_head: false, ..config() };
    let model = model(&untied);
    assert_eq!(model_type(&model), "kiln");
    let folded = model.clone().with_folded_embedding_norm();
    assert_eq!(model_type(&folded), "gpt2");
    let llama =
        GptConfig { vocab_size: 7, embedding_norm: true, tied_head: false, ..GptConfig::llama(1, 2, 8) };
    let llama: GptModel<B> = llama.init(7, &Default::default()).expect("valid");
    assert_eq!(model_type(&llama.with_folded_embedding_norm()), "llama");
    model_type(&folded);
    let loaded: GptModel<B> = load(directory.path(), &Default::default()).expect("just written");
    let expected = model.forward(tokens(&[3, 1, 4])).into_data();
    loaded
        .forward(tokens(&[3, 1, 4]))
        .into_data()
        .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    let tied: GptModel<B> =
        GptConfig { tied_head: true, ..untied }.init(7, &Default::default()).expect("valid");
    assert!(tied.with_folded_embedding_norm().config().embedding_norm, "its table scores tokens too");
}

#[test]
fn broken_directories_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let refusal = || load::<B>(path, &Default::default()).expect_err("not a model").to_string();
    assert!(refusal().contains("no model here"), "{}", refusal());

    save(&model(&config()), path, Dtype::F32, &Default::default()).expect("writable");
    let weights = path.join("model.safetensors");
    let whole = std::fs::read(&weights).expect("just written");
    std::fs::write(&weights, &whole[..whole.len() / 2]).expect("writable");
    assert!(refusal().contains("model.safetensors"), "{}", refusal());

    std::fs::write(&weights, &whole).expect("writable");
    let text = std::fs::read_to_string(path.join("config.json")).expect("just written");
    std::fs::write(path.join("config.json"), text.replace("\"n_layer\": 3", "\"n_layer\": 4"))
        .expect("writable");
    assert!(refusal().contains("`h.3.ln_1.weight` is missing"), "{}", refusal());
    std::fs::write(path.join("config.json"), text.replace("gpt2", "mamba")).expect("writable");
    assert!(refusal().contains("mamba"), "{}", refusal());
}

/// Writes `model.safetensors` anew, each tensor by the name and with the values that `change` gives it.
fn rewrite(directory: &Path, change: impl Fn(&str, Vec<f32>) -> Vec<(String, Vec<f64>)>, dtype: FileDtype) {
    let path = directory.join("model.safetensors");
    let bytes = std::fs::read(&path).expect("readable");
    let file = SafeTensors::deserialize(&bytes).expect("just written");
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        let values = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        for (name, values) in change(&name, values) {
            let bytes: Vec<u8> = match dtype {
                FileDtype::F64 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                _ => values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect(),
            };
            let shape = if values.len() == view.data().len() / 4 {
                view.shape().to_vec()
            } else {
                vec![values.len()]
            };
            tensors.push((name, shape, bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(dtype, shape.clone(), bytes).expect("fits")));
    std::fs::write(path, safetensors::serialize(views, None).expect("sound")).expect("writable");
}

fn wide(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

#[test]
fn a_stored_head_that_differs_is_used() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let model = model(&config());
    let head = |factor: f64| {
        save(&model, path, Dtype::F32, &SpecialTokens::default()).expect("writable");
        rewrite(
            path,
            |name, values| {
                let values = wide(values);
                let head = values.iter().map(|value| value * factor).collect();
                let copied = (name == "transformer.wte.weight").then(|| ("lm_head.weight".to_owned(), head));
                [(name.to_owned(), values)].into_iter().chain(copied).collect()
            },
            FileDtype::F32,
        );
        let loaded: GptModel<B> = load(path, &Default::default()).expect("sound");
        assert_eq!(loaded.config(), &load_config(path).expect("sound"));
        (loaded.config().tied_head, loaded.forward(tokens(&[1, 2, 3])))
    };
    let expected = model.forward(tokens(&[1, 2, 3]));
    let (tied, logits) = head(1.0);
    assert!(tied);
    assert_eq!(logits.into_data(), expected.clone().into_data());
    let (tied, logits) = head(2.0);
    assert!(!tied);
    logits.into_data().assert_approx_eq::<f32>(&(expected * 2.0).into_data(), Tolerance::default());
}

#[test]
fn wrapped_names_wide_numbers_and_other_heads_are_read() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let model = model(&config());
    let expected = model.forward(tokens(&[1, 2, 3])).into_data();
    for wrapper in ["", "_orig_mod.", "module.", "module._orig_mod.", "base_model.model."] {
        save(&model, path, Dtype::F32, &SpecialTokens::default()).expect("writable");
        rewrite(
            path,
            |name, values| {
                let other = (name == "transformer.ln_f.weight").then(|| {
                    ["v_head.summary.weight", "score.weight"].map(|head| (head.to_owned(), vec![1.0; 2]))
                });
                let whole = (format!("{wrapper}{name}"), wide(values));
                [whole].into_iter().chain(other.into_iter().flatten()).collect()
            },
            FileDtype::F64,
        );
        let loaded: GptModel<B> = load(path, &Default::default()).expect("sound");
        assert_eq!(loaded.forward(tokens(&[1, 2, 3])).into_data(), expected, "{wrapper}");
        assert_eq!(unused_heads(path, &config()), ["score.weight", "v_head.summary.weight"]);
    }
}

#[test]
fn adapters_and_weights_in_other_formats_are_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    let model = model(&config());
    save(&model, path, Dtype::F32, &SpecialTokens::default()).expect("writable");
    let adapted = |name: &str, values| {
        let lora = "base_model.model.transformer.h.0.attn.c_attn.lora_A.default.weight";
        let lora = (name == "transformer.ln_f.bias").then(|| (lora.to_owned(), vec![0.0; 2]));
        [(name.to_owned(), wide(values))].into_iter().chain(lora).collect()
    };
    rewrite(path, adapted, FileDtype::F32);
    let refused = load::<B>(path, &Default::default()).expect_err("an adapter").to_string();
    assert!(refused.contains("LoRA"), "{refused}");

    std::fs::rename(path.join("model.safetensors"), path.join("pytorch_model.bin")).expect("writable");
    let refused = load::<B>(path, &Default::default()).expect_err("a pickle");
    assert!(matches!(refused, Error::OtherWeights { .. }), "{refused}");
    assert!(refused.to_string().contains("pytorch_model.bin"), "{refused}");
}
