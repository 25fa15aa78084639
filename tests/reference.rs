//! Models that `transformers` saved, and what PyTorch computes with them: logits, loss, the gradient of every parameter,
//! ten optimizer steps, greedy text. `tests/reference/make_fixtures.py` wrote the numbers.

#![recursion_limit = "256"]

mod common;

use std::path::PathBuf;

use burn::lr_scheduler::LrScheduler;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::TensorData;
use burn_autodiff::Autodiff;
use burn_train::TrainStep;
use common::fixtures::{Case, cases, distance};
use common::parameters::{self, Named};
use kiln_datasets::Batch;
use kiln_inference::{GenerateOptions, Request, Sampling, generate};
use kiln_model::{AutodiffBackend, Backend, GptConfig, GptModel, Positions, Role, load};
use kiln_training::{
    ByRole, ClipGlobalNorm, LanguageModel, MicroBatches, OptimizerConfig, WarmupDecay, llm_c_losses,
};
use serde_json::Value;

/// `‖a - b‖ / ‖b‖`.
fn relative_error(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let squares =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = squares(&mut ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs));
    difference / squares(&mut theirs.iter().copied())
}

fn numbers(data: TensorData) -> Vec<f64> {
    data.iter::<f64>().collect()
}

/// By the names, and in the layout, that the fixtures use.
fn as_in_the_file(parameters: Named, config: &GptConfig) -> Named {
    let all = parameters.into_iter();
    if config.positions == Positions::Learned {
        let name = |name: String| if name == "lm_head.weight" { name } else { format!("transformer.{name}") };
        return all.map(|(ours, values)| (name(ours), values)).collect();
    }
    all.flat_map(|(ours, values)| as_in_llama(&ours, values, config)).collect()
}

/// A parameter as transformers' Llama has it: one or three tensors, `[out, in]`.
fn as_in_llama(ours: &str, values: Vec<f64>, config: &GptConfig) -> Vec<(String, Vec<f64>)> {
    let path: Vec<&str> = ours.split('.').collect();
    let [.., layer, part] = path[..] else { panic!("{ours} is a path") };
    let (before, name) = match (path[0], layer) {
        (_, "wte") => ("model.".to_owned(), "embed_tokens"),
        (_, "ln_f") => ("model.".to_owned(), "norm"),
        (_, "lm_head") => (String::new(), "lm_head"),
        (_, layer) => {
            let name = match (path[2], layer) {
                ("ln_1", _) => "input_layernorm",
                ("ln_2", _) => "post_attention_layernorm",
                ("attn", "c_attn") => "self_attn",
                ("attn", "c_proj") => "self_attn.o_proj",
                ("attn", "q_norm") => "self_attn.q_norm",
                ("attn", "k_norm") => "self_attn.k_norm",
                (_, "c_fc") => "mlp.up_proj",
                (_, "c_gate") => "mlp.gate_proj",
                _ => "mlp.down_proj",
            };
            (format!("model.layers.{}.", path[1]), name)
        }
    };
    let is_matrix = part == "weight" && layer.starts_with("c_");
    let heads = config.heads();
    let (queries, keys) = (heads.n_heads * heads.head_dim, heads.n_kv_heads * heads.head_dim);
    let parts = match name {
        "self_attn" => {
            vec![(".q_proj", 0, queries), (".k_proj", queries, keys), (".v_proj", queries + keys, keys)]
        }
        _ => vec![("", 0, usize::MAX)],
    };
    let columns = match (is_matrix, layer) {
        (true, "c_attn") => queries + 2 * keys,
        (true, "c_fc" | "c_gate") => config.d_ff,
        (true, _) => config.d_model,
        (false, _) => values.len(),
    };
    let parts = parts.into_iter().map(|(end, first, count)| {
        let columns_of_part = first..(first.saturating_add(count)).min(columns);
        let values = match is_matrix || name == "self_attn" {
            true => columns_of_part
                .flat_map(|column| values.iter().skip(column).step_by(columns).copied())
                .collect(),
            false => values.clone(),
        };
        (format!("{before}{name}{end}.{part}"), values)
    });
    parts.collect()
}

fn compare<B: Backend>(logit_tolerance: f64) {
    let device = B::Device::default();
    for case in cases() {
        let name = &case.name;
        let model: GptModel<B> = load(&case.directory, &device).expect("transformers saved it");
        let logits = numbers(model.forward(case.tokens("tokens", &device)).into_data());
        let error = distance(&logits, &case.tensors["logits"].1);
        assert!(error <= logit_tolerance, "{name}: logits differ by {error}");
        let loss = model.loss(case.tokens("tokens", &device), case.tokens("targets", &device));
        let error = (numbers(loss.into_data())[0] - case.number("loss")).abs();
        assert!(error <= logit_tolerance, "{name}: loss differs by {error}");

        let greedy: Vec<u32> =
            serde_json::from_value(case.numbers["greedy"].clone()).expect("a list of tokens");
        for kv_cache in [true, false] {
            let options = GenerateOptions {
                max_tokens: greedy.len() - 4,
                sampling: Sampling::GREEDY,
                kv_cache,
                ..GenerateOptions::default()
            };
            let request = Request { prompt: greedy[..4].to_vec(), options };
            let text: Vec<u32> =
                generate(&model, &request).expect("known tokens").collect::<Result<_, _>>().expect("finite");
            assert_eq!(text, greedy[4..], "{name}: greedy text, cache {kv_cache}");
        }
        if case.is_full() {
            gradients::<Autodiff<B>>(&case);
            ten_steps::<Autodiff<B>>(&case);
        }
    }
}

fn gradients<B: AutodiffBackend>(case: &Case) {
    let device = B::Device::default();
    let model: GptModel<B> = load(&case.directory, &device).expect("transformers saved it");
    let loss = model.loss(case.tokens("tokens", &device), case.tokens("targets", &device));
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    let ours = as_in_the_file(parameters::gradients(&model, &gradients), model.config());
    let theirs =
        case.tensors.iter().filter_map(|(name, (_, values))| Some((name.strip_prefix("gradient.")?, values)));
    let mut compared = 0;
    for (name, theirs) in theirs {
        let error = relative_error(&ours[name], theirs);
        assert!(error <= 1e-4, "{}: gradient of {name} is off by {error}", case.name);
        compared += 1;
    }
    assert_eq!(compared, ours.len(), "{}: every parameter has a gradient", case.name);
}

/// AdamW with decay groups, clipping, warm-up and cosine: losses and norms of ten steps, and the weights after them.
fn ten_steps<B: AutodiffBackend>(case: &Case) {
    let device = B::Device::default();
    let recipe = |key: &str| case.number(&format!("recipe.{key}"));
    let adamw = ByRole {
        config: OptimizerConfig {
            beta1: recipe("beta1"),
            beta2: recipe("beta2"),
            epsilon: recipe("epsilon"),
            weight_decay: recipe("weight_decay"),
            ..OptimizerConfig::default()
        },
        decays: Role::decays,
    };
    let mut optimizer = ClipGlobalNorm::new(adamw.init(), recipe("grad_clip"));
    let steps = |key: &str| recipe(key) as usize;
    let mut schedule = WarmupDecay::new(
        recipe("learning_rate"),
        recipe("min_learning_rate"),
        steps("warmup_steps"),
        steps("decay_steps"),
    );
    let mut model =
        LanguageModel::<B> { gpt: load(&case.directory, &device).expect("transformers saved it") };

    let (shape, batches) = &case.tensors["batches"];
    let [_, rows, width] = shape[..] else { panic!("batches are [steps, batch, seq + 1]") };
    let losses: Vec<f64> = serde_json::from_value(case.numbers["losses"].clone()).expect("a list of losses");
    for (step, (batch, expected)) in batches.chunks(rows * width).zip(&losses).enumerate() {
        let cut = |from: usize| -> Vec<i32> {
            batch
                .chunks(width)
                .flat_map(|row| row[from..from + width - 1].iter().map(|token| *token as i32))
                .collect()
        };
        let batch = Batch { inputs: cut(0), targets: cut(1), windows: rows, seq: width - 1 };
        let output = TrainStep::step(&model, MicroBatches::from(vec![batch]));
        let error = (output.item.loss - expected).abs();
        assert!(error <= 1e-4, "{}: the loss of step {step} is off by {error}", case.name);
        model = optimizer.step(schedule.step(), model, output.grads);
    }
    let ours = as_in_the_file(parameters::values(&model.gpt), model.gpt.config());
    for (name, (_, theirs)) in case.tensors.iter().filter(|(name, _)| name.starts_with("final.")) {
        let name = &name["final.".len()..];
        let error = relative_error(&ours[name], theirs);
        assert!(error <= 1e-3, "{}: {name} after ten steps is off by {error}", case.name);
    }
}

/// llm.c's ten steps, as `kiln verify gpt2` runs them, on a small model that PyTorch trained alike.
fn ten_steps_of_llm_c<B: AutodiffBackend>() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/llm_c");
    let text = std::fs::read(directory.join("expected.json")).expect("the fixtures are committed");
    let expected: Value = serde_json::from_slice(&text).expect("the fixtures are whole");
    let tokens: Vec<u32> = serde_json::from_value(expected["tokens"].clone()).expect("a list of tokens");
    let theirs: Vec<f64> = serde_json::from_value(expected["losses"].clone()).expect("a list of losses");
    let model = load::<B>(&directory, &Default::default()).expect("transformers saved it");
    // Neighbouring losses are 1.2e-3 apart: a wrong step shows.
    let error = distance(&llm_c_losses(model, &tokens), &theirs);
    assert!(error <= 2e-5, "llm.c's losses differ by {error}");
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_runs_the_check_of_llm_c() {
    ten_steps_of_llm_c::<Autodiff<burn_ndarray::NdArray>>();
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_computes_what_pytorch_does() {
    compare::<burn_ndarray::NdArray>(1e-4);
}

#[cfg(feature = "flex")]
#[test]
fn flex_computes_what_pytorch_does() {
    compare::<burn_flex::Flex>(1e-4);
}

#[cfg(feature = "tch")]
#[test]
fn libtorch_computes_what_pytorch_does() {
    compare::<burn_tch::LibTorch>(1e-4);
}

#[cfg(feature = "wgpu")]
#[test]
fn wgpu_computes_what_pytorch_does() {
    compare::<burn_wgpu::Wgpu>(1e-3);
}
