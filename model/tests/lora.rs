//! Adapters of every family: new ones change nothing, merged ones the same as attached ones, and only they learn.

#![cfg(feature = "ndarray")]

use std::collections::BTreeMap;

use burn::module::{AutodiffModule, Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{
    Biases, Error, GptConfig, GptModel, Linear, LoraConfig, Precision, Role, Targets, parameters,
};

type Plain = NdArray;
type B = Autodiff<NdArray>;

/// A small model of each family, and one of none.
fn families() -> Vec<(&'static str, GptConfig)> {
    let sizes = |config: GptConfig| GptConfig { vocab_size: 13, context_length: 8, init_std: 0.3, ..config };
    let llama = || sizes(GptConfig { n_kv_heads: Some(1), ..GptConfig::llama(2, 2, 8) });
    vec![
        ("gpt2", sizes(GptConfig::new(2, 2, 8))),
        ("llama", llama()),
        ("qwen2", GptConfig { bias: Biases::QKV, ..llama() }),
        ("qwen3", GptConfig { qk_norm: true, head_dim: Some(8), ..llama() }),
        ("kiln", GptConfig { residual_scalars: true, ..sizes(GptConfig::new(2, 2, 8)) }),
    ]
}

fn all_linear(rank: usize) -> LoraConfig {
    LoraConfig { rank, alpha: 3.0, targets: Targets::AllLinear, ..LoraConfig::default() }
}

fn tokens<T: kiln_model::Backend>(rows: [[i32; 5]; 2]) -> Tensor<T, 2, Int> {
    Tensor::from_ints(rows, &Default::default())
}

const INPUTS: [[i32; 5]; 2] = [[1, 2, 3, 4, 5], [12, 0, 7, 7, 2]];
const TARGETS: [[i32; 5]; 2] = [[2, 3, 4, 5, 6], [0, -100, 7, 2, 11]];

fn logits<T: kiln_model::Backend>(model: &GptModel<T>) -> Vec<f32> {
    model.forward(tokens(INPUTS)).into_data().to_vec().expect("f32")
}

/// Every linear layer of a model, in its order.
fn linears<T: kiln_model::Backend>(model: &mut GptModel<T>) -> Vec<&mut Linear<T>> {
    let blocks = model.h.iter_mut();
    blocks
        .flat_map(|block| {
            let mlp = &mut block.mlp;
            let first = [&mut block.attn.c_attn, &mut block.attn.c_proj, &mut mlp.c_fc];
            first.into_iter().chain(&mut mlp.c_gate).chain([&mut mlp.c_proj])
        })
        .collect()
}

/// The model as if its adapter had learned something.
fn with_learned<T: kiln_model::Backend>(mut model: GptModel<T>) -> GptModel<T> {
    // By hand: tests run side by side, and share a backend's random numbers.
    let mut index = 0u64;
    let mut next = || {
        index += 1;
        (index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    for linear in linears(&mut model) {
        for adapter in linear.lora.iter_mut().flatten() {
            let shape = adapter.b.dims();
            let values: Vec<f32> = (0..shape.iter().product()).map(|_| next() * 0.7).collect();
            adapter.b =
                Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &Default::default()));
        }
    }
    model
}

fn distance(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max)
}

#[test]
fn a_new_adapter_changes_no_bit() {
    for (name, config) in families() {
        let model: GptModel<Plain> = config.init(1, &Default::default()).expect("valid");
        for targets in [Targets::Usual, Targets::AllLinear] {
            let lora = LoraConfig { targets, ..all_linear(4) };
            let adapted = model.clone().with_lora(lora.clone(), 2).expect("valid");
            assert_eq!(logits(&adapted), logits(&model), "{name}");
            let loss = |model: &GptModel<Plain>| model.loss(tokens(INPUTS), tokens(TARGETS)).into_scalar();
            assert_eq!(loss(&adapted), loss(&model), "{name}");
            assert_eq!((adapted.lora(), model.lora()), (Some(&lora), None));
            let learned = with_learned(adapted);
            assert!(distance(&logits(&learned), &logits(&model)) > 1e-2, "{name}: it does nothing");
            assert_eq!(logits(&learned.without_lora()), logits(&model), "{name}");
        }
    }
}

/// `W + alpha / rank · A B` by hand in f64, or with `A B` the wrong way round.
fn merged_by_hand(mut model: GptModel<Plain>, scale: f64, transposed: bool) -> GptModel<Plain> {
    let values = |tensor: Tensor<Plain, 2>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
    for linear in linears(&mut model) {
        let [d_in, width] = linear.weight.dims();
        let mut weight = values(linear.weight.val());
        let mut first = 0;
        for adapter in linear.lora.take().into_iter().flatten() {
            let ([_, rank], [_, d_out]) = (adapter.a.dims(), adapter.b.dims());
            let (a, b) = (values(adapter.a.val()), values(adapter.b.val()));
            let product =
                |i: usize, j: usize| (0..rank).map(|r| a[i * rank + r] * b[r * d_out + j]).sum::<f64>();
            for (i, j) in (0..d_in).flat_map(|i| (0..d_out).map(move |j| (i, j))) {
                let swapped = transposed && d_in == d_out;
                weight[i * width + first + j] += scale * if swapped { product(j, i) } else { product(i, j) };
            }
            first += d_out;
        }
        let weight = burn::tensor::TensorData::new(weight, [d_in, width]).convert::<f32>();
        linear.weight = Param::from_tensor(Tensor::from_data(weight, &Default::default()));
    }
    model
}

#[test]
fn merged_and_attached_compute_the_same() {
    for (name, config) in families() {
        let model: GptModel<Plain> = config.init(1, &Default::default()).expect("valid");
        let frozen = model.clone().no_grad().merged().expect("nothing to merge");
        assert!(!frozen.wte.weight.is_require_grad(), "{name}: a model without an adapter stays as it is");
        let rank = 4;
        let adapted = with_learned(model.with_lora(all_linear(rank), 2).expect("valid"));
        let attached = logits(&adapted);
        let merged = adapted.clone().merged().expect("finite");
        assert!(
            merged.lora().is_none() && parameters(&merged).iter().all(|found| found.role != Role::Adapter)
        );
        assert!(distance(&logits(&merged), &attached) < 1e-5, "{name}");
        // Every part of every layer is adapted here, so the parts begin where the one before ends.
        let by_hand = merged_by_hand(adapted.clone(), 3.0 / rank as f64, false);
        assert!(distance(&logits(&by_hand), &attached) < 1e-5, "{name}");
        let wrong = merged_by_hand(adapted, 3.0 / rank as f64, true);
        assert!(distance(&logits(&wrong), &attached) > 1e-3, "{name}: an untransposed merge passes");
    }
}

#[test]
fn adapters_compute_beside_packed_weights_too() {
    let (_, config) = families().swap_remove(0);
    let model: GptModel<Plain> = config.init(1, &Default::default()).expect("valid");
    let adapted = with_learned(model.with_lora(all_linear(2), 2).expect("valid"));
    let merged = logits(&adapted.clone().merged().expect("finite"));
    let packed = adapted.with_precision(Precision::Bf16).expect("it has bf16");
    let error = distance(&logits(&packed), &merged);
    assert!(error > 0.0 && error < 0.1, "{error}");
    let refused = packed.merged().expect_err("the digits are gone");
    assert!(matches!(refused, Error::Packed { .. }), "{refused}");
}

#[test]
fn a_weight_that_is_not_finite_is_refused() {
    let (_, config) = families().swap_remove(1);
    let model: GptModel<Plain> = config.init(1, &Default::default()).expect("valid");
    let mut adapted = model.with_lora(all_linear(2), 2).expect("valid");
    for value in [f32::INFINITY, f32::NAN, 3e38] {
        let adapter = &mut adapted.h[1].attn.c_proj.lora.as_mut().expect("all are adapted")[0];
        adapter.b = Param::from_tensor(Tensor::full(adapter.b.dims(), value, &Default::default()));
        adapter.a = Param::from_tensor(Tensor::full(adapter.a.dims(), 9.0, &Default::default()));
        let refused = adapted.clone().merged().expect_err("not finite").to_string();
        assert!(
            refused.starts_with("`h.1.attn.c_proj`: with the adapter merged into it, a weight is "),
            "{refused}"
        );
    }
}

/// With `W = W_0 + s A B`: `dA = s dW Bᵀ` and `dB = s Aᵀ dW`, where `dW` is the gradient of the model that is merged.
#[test]
fn only_adapters_learn_and_their_gradients_follow_from_those_of_the_merged_weights() {
    for (name, config) in families() {
        let model: GptModel<B> = config.init(1, &Default::default()).expect("valid");
        let lora = LoraConfig { targets: Targets::Usual, ..all_linear(4) };
        let count = lora.num_parameters(&config).expect("valid");
        let mut adapted = with_learned(model.with_lora(lora, 2).expect("valid"));
        let found = parameters(&adapted);
        let adapters: Vec<_> = found.iter().filter(|found| found.role == Role::Adapter).collect();
        assert_eq!(adapters.iter().map(|found| found.num_elements()).sum::<usize>(), count, "{name}");

        let gradients = |model: &GptModel<B>| {
            let loss = model.loss(tokens(INPUTS), tokens(TARGETS));
            GradientsParams::from_grads(loss.backward(), model)
        };
        let ours = gradients(&adapted);
        assert_eq!(ours.len(), adapters.len(), "{name}: frozen weights have gradients");
        let mut merged = adapted.clone().merged().expect("finite");
        let theirs = gradients(&merged);
        assert_eq!(theirs.len(), found.len() - adapters.len(), "{name}: a merged model learns");

        let mut compared = 0;
        for (linear, merged) in linears(&mut adapted).into_iter().zip(linears(&mut merged)) {
            let whole: Tensor<Plain, 2> = theirs.get(merged.weight.id).expect("it learns");
            let [d_in, width] = whole.dims();
            let adapters = linear.lora.iter().flatten().collect::<Vec<_>>();
            for (index, adapter) in adapters.iter().enumerate() {
                // Of queries, keys and values, the first and the last are adapted.
                let [_, d_out] = adapter.b.dims();
                let first = if index == 0 { 0 } else { width - d_out };
                let weight = whole.clone().slice([0..d_in, first..first + d_out]);
                let scale = 3.0 / 4.0;
                let (a, b) = (adapter.a.val().inner(), adapter.b.val().inner());
                for (id, expected) in [
                    (adapter.a.id, weight.clone().matmul(b.transpose()) * scale),
                    (adapter.b.id, a.transpose().matmul(weight) * scale),
                ] {
                    let gradient: Tensor<Plain, 2> = ours.get(id).expect("adapters learn");
                    let error = (gradient - expected.clone()).abs().max().into_scalar();
                    let largest = expected.abs().max().into_scalar();
                    assert!(error < 1e-5 * largest.max(1.0), "{name}: {error} of {largest}");
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, adapters.len(), "{name}");
    }
}

#[test]
fn dropout_is_of_training_alone() {
    let (_, config) = families().swap_remove(0);
    let model: GptModel<B> = config.init(1, &Default::default()).expect("valid");
    let with = |dropout| {
        let lora = LoraConfig { dropout, ..all_linear(4) };
        with_learned(model.clone().with_lora(lora, 2).expect("valid"))
    };
    let loss = |model: &GptModel<B>| model.loss(tokens(INPUTS), tokens(TARGETS)).into_scalar();
    let (dropping, plain) = (with(0.5), with(0.0));
    assert_ne!(loss(&dropping), loss(&dropping));
    assert_eq!(loss(&plain), loss(&plain));
    assert_eq!(logits(&dropping.valid()), logits(&plain.valid()));
}

#[test]
fn the_same_seed_draws_the_same_adapter_and_targets_match_by_suffix() {
    let (_, config) = families().swap_remove(0);
    let model: GptModel<Plain> = config.init(1, &Default::default()).expect("valid");
    let names = |targets: &[&str]| {
        let targets = Targets::Modules(targets.iter().map(|name| (*name).to_owned()).collect());
        let lora = LoraConfig { rank: 2, targets, ..LoraConfig::default() };
        let adapted = model.clone().with_lora(lora, 3).expect("valid");
        let found = parameters(&adapted).into_iter().filter(|found| found.role == Role::Adapter);
        found.map(|found| found.name).filter(|name| name.ends_with(".a")).collect::<Vec<_>>()
    };
    assert_eq!(names(&["mlp.c_proj"]), ["h.0.mlp.c_proj.lora.0.a", "h.1.mlp.c_proj.lora.0.a"]);
    assert_eq!(names(&["c_proj"]).len(), 4);
    assert_eq!(names(&["transformer.h.1.attn.c_attn"]), ["h.1.attn.c_attn.lora.0.a"]);
    let drawn = |seed| {
        let adapted = model.clone().with_lora(all_linear(4), seed).expect("valid");
        adapted.h[1].mlp.c_proj.lora.as_ref().expect("all are adapted")[0]
            .a
            .val()
            .into_data()
            .to_vec::<f32>()
            .expect("f32")
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    // Of d_ff = 32 features.
    let bound = 32f32.powf(-0.5);
    assert!(
        drawn(1).iter().all(|value| value.abs() <= bound)
            && drawn(1).iter().any(|value| value.abs() > bound / 2.0)
    );
}

#[test]
fn patterns_say_what_differs() {
    let (_, config) = families().swap_remove(0);
    let lora = LoraConfig {
        rank_pattern: BTreeMap::from([("h.1.attn.c_attn".to_owned(), 6)]),
        alpha_pattern: BTreeMap::from([("c_fc".to_owned(), 1.0)]),
        ..all_linear(2)
    };
    let model: GptModel<Plain> = config.init(1, &Default::default()).expect("valid");
    let adapted = model.with_lora(lora.clone(), 3).expect("valid");
    let rank = |block: usize| adapted.h[block].attn.c_attn.lora.as_ref().expect("adapted")[0].a.dims()[1];
    assert_eq!((rank(0), rank(1)), (2, 6));
    // All have rank 2 but one: 2 · (8 + 24), (8 + 8), (8 + 32), (32 + 8) in each block.
    assert_eq!(lora.num_parameters(&config).expect("valid"), 2 * 2 * 128 + 4 * 32);
}

#[test]
fn what_is_out_of_range_or_not_there_is_refused() {
    let config = GptConfig::preset("gpt2").expect("a listed preset");
    let modules = |names: &[&str]| Targets::Modules(names.iter().map(|name| (*name).to_owned()).collect());
    for (lora, message) in [
        (all_linear(0), "lora.rank = 0: must be from 1 to 65536"),
        (LoraConfig { alpha: 0.0, ..all_linear(1) }, "lora.alpha = 0: must be above 0 and finite"),
        (LoraConfig { alpha: f64::NAN, ..all_linear(1) }, "lora.alpha = NaN: must be above 0 and finite"),
        (LoraConfig { dropout: 1.0, ..all_linear(1) }, "lora.dropout = 1: must be at least 0 and below 1"),
        (
            LoraConfig { targets: modules(&["c_attn", "q_proj"]), ..all_linear(1) },
            "lora.targets = c_attn,q_proj: there is no linear map `q_proj`; there are c_attn, c_proj, c_fc",
        ),
        (LoraConfig { targets: modules(&[]), ..all_linear(1) }, "lora.targets = []: names nothing to adapt"),
        (
            LoraConfig { rank_pattern: BTreeMap::from([("c_.*".to_owned(), 6)]), ..all_linear(1) },
            "lora.rank_pattern = c_.*: no map that is adapted has this name, and regular expressions are not read",
        ),
        (
            LoraConfig {
                alpha_pattern: BTreeMap::from([("c_proj".to_owned(), 6.0), ("mlp.c_proj".to_owned(), 6.0)]),
                ..all_linear(1)
            },
            "lora.alpha_pattern = mlp.c_proj: another name says something of `transformer.h.0.mlp.c_proj` too",
        ),
    ] {
        assert_eq!(lora.validate(&config).expect_err("refused").to_string(), message);
    }
}

#[test]
fn a_model_with_an_adapter_still_maps_and_records() {
    let (_, config) = families().swap_remove(1);
    let model: GptModel<Plain> = config.init(1, &Default::default()).expect("valid");
    let adapted = with_learned(model.with_lora(all_linear(2), 2).expect("valid"));
    let record = adapted.clone().into_record();
    let other: GptModel<Plain> = config.init(9, &Default::default()).expect("valid");
    let other = other.with_lora(all_linear(2), 7).expect("valid").load_record(record);
    assert_eq!(logits(&other), logits(&adapted));
}
