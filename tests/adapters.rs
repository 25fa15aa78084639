//! LoRA adapters on the command line: beside their model, alone, merged into an export, and those that do not fit.

mod common;

use std::path::Path;

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use burn_ndarray::NdArray;
use common::{kiln, refuse, stdout};
use kiln_datasets::Tokenizer;
use kiln_model::{
    Classifier, Dtype, GptConfig, GptModel, LoraConfig, SpecialTokens, Targets, save, save_adapter,
    save_classifier_adapter,
};
use serde_json::{Value, json};

type B = NdArray;

fn base(seed: u64) -> GptModel<B> {
    let config = GptConfig { vocab_size: 257, context_length: 32, init_std: 0.3, ..GptConfig::new(2, 2, 16) };
    config.init(seed, &Default::default()).expect("valid")
}

fn adapted() -> GptModel<B> {
    let lora = LoraConfig { rank: 4, targets: Targets::AllLinear, ..LoraConfig::default() };
    let mut model = base(1).with_lora(lora, 2).expect("valid");
    for block in &mut model.h {
        for linear in [&mut block.attn.c_attn, &mut block.attn.c_proj, &mut block.mlp.c_fc] {
            let adapter = &mut linear.lora.as_mut().expect("all are adapted")[0];
            // The same each time, whatever other tests draw.
            let shape = adapter.b.dims();
            let values = (0..shape[0] * shape[1]).map(|at| 0.4 * (7.0 * at as f32).sin()).collect();
            let b = TensorData::new(values, shape);
            adapter.b = Param::from_tensor(Tensor::from_data(b, &Default::default()));
        }
    }
    model
}

/// `base/` and `other/`, models of bytes, and `adapter/`, which belongs to the first.
fn write(folder: &Path) {
    let tokenizer = Tokenizer::open("byte").expect("built in");
    for (name, seed) in [("base", 1), ("other", 9)] {
        let directory = folder.join(name);
        save(&base(seed), &directory, Dtype::F32, &SpecialTokens::default()).expect("writable");
        tokenizer.save(&directory).expect("writable");
    }
    save_adapter(&adapted(), &folder.join("adapter"), "base").expect("writable");
}

/// Log-probabilities of a text by the model that `options` name.
fn scored(folder: &Path, options: &[&str]) -> Vec<f64> {
    let args = ["score", "--text", "Once upon a time", "--json"];
    let report: Value =
        serde_json::from_str(&stdout(&kiln(folder, args.into_iter().chain(options.iter().copied()))))
            .expect("JSON");
    let numbers = report["logprobs"].as_array().expect("a list").iter();
    numbers.filter_map(Value::as_f64).collect()
}

fn distance(ours: &[f64], theirs: &[f64]) -> f64 {
    assert!(ours.len() == theirs.len() && ours.len() > 10);
    ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f64::max)
}

#[test]
fn an_adapter_beside_its_model_alone_and_exported_is_one_model() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    write(folder);
    let with = scored(folder, &["--model", "base", "--adapter", "adapter"]);
    assert!(distance(&with, &scored(folder, &["--model", "base"])) > 1e-2, "it does nothing");
    // What the library computes without merging.
    let tokens: Vec<i32> = "Once upon a time".bytes().map(i32::from).collect();
    let logits =
        adapted().forward(kiln_model::token_tensor(tokens.clone(), [1, tokens.len()], &Default::default()));
    let probabilities =
        burn::tensor::activation::log_softmax(logits, 2).into_data().to_vec::<f32>().expect("f32");
    let expected: Vec<f64> = tokens[1..]
        .iter()
        .enumerate()
        .map(|(place, next)| f64::from(probabilities[place * 257 + *next as usize]))
        .collect();
    assert!(distance(&with, &expected) < 1e-4, "{}", distance(&with, &expected));

    assert_eq!(scored(folder, &["--model", "adapter"]), with, "the adapter names its model");
    stdout(&kiln(folder, ["export", "--model", "base", "--adapter", "adapter", "--to", "merged"]));
    stdout(&kiln(folder, ["export", "--model", "adapter", "--to", "merged.gguf"]));
    for merged in ["merged", "merged.gguf"] {
        assert!(distance(&scored(folder, &["--model", merged]), &with) < 1e-5, "{merged}");
    }
    for dtype in ["bf16", "int8"] {
        let packed = scored(folder, &["--model", "base", "--adapter", "adapter", "--dtype", dtype]);
        assert_eq!(packed, scored(folder, &["--model", "merged", "--dtype", dtype]), "{dtype}");
        assert!(distance(&packed, &with) > 0.0, "{dtype}");
    }
    let generate = |options: &[&str]| {
        let args = ["generate", "--prompt", "Once", "--temperature", "0", "--max-tokens", "12"];
        kiln(folder, args.into_iter().chain(options.iter().copied())).stdout
    };
    let text = generate(&["--model", "base", "--adapter", "adapter"]);
    assert_eq!(text, generate(&["--model", "merged"]));
    assert_ne!(text, generate(&["--model", "base"]));
    std::fs::write(folder.join("text.txt"), "Once upon a time there was a fox. ".repeat(9))
        .expect("writable");
    let eval = |options: &[&str]| {
        let args = ["eval", "--data", "text.txt", "--json"];
        let report = stdout(&kiln(folder, args.into_iter().chain(options.iter().copied())));
        serde_json::from_str::<Value>(&report).expect("JSON")["loss"].as_f64().expect("a loss")
    };
    let loss = eval(&["--model", "base", "--adapter", "adapter"]);
    assert!((loss - eval(&["--model", "merged"])).abs() < 1e-5);
    let info = stdout(&kiln(folder, ["info", "--model", "adapter"]));
    assert!(info.contains("rank 4, alpha 8"), "{info}");
}

#[test]
fn a_model_that_lies_beside_its_adapter_is_found_from_anywhere() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    write(folder);
    save_adapter(&adapted(), &folder.join("elsewhere/adapter"), "../../base").expect("writable");
    let with = scored(folder, &["--model", "adapter"]);
    assert_eq!(scored(folder, &["--model", "elsewhere/adapter"]), with);
    // A run whose best model is an adapter.
    std::fs::create_dir_all(folder.join("runs/tuned")).expect("writable");
    std::fs::rename(folder.join("adapter"), folder.join("runs/tuned/model")).expect("writable");
    assert_eq!(scored(folder, &["--model", "base", "--adapter", "tuned"]), with);
    assert_eq!(scored(folder, &["--model", "runs/tuned"]), with);
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let folder = folder.path();
    write(folder);
    let score = |model, adapter| ["score", "--text", "Once", "--model", model, "--adapter", adapter];
    let hint = "hint: name the model that it was trained on: `--model MODEL --adapter DIR`";
    refuse(
        folder,
        score("other", "adapter"),
        &["an adapter for another model: it was trained on base", "those of other are", hint],
    );
    refuse(folder, score("base", "other"), &["no model here (there is no `adapter_config.json`)"]);
    save_adapter(&adapted(), &folder.join("lost"), "someone/small").expect("writable");
    let hint = "fetch it with `kiln fetch someone/small`, or say where it is: `--model MODEL --adapter DIR`";
    refuse(
        folder,
        ["score", "--text", "Once", "--model", "lost"],
        &["lost: an adapter of `someone/small`, which is not here", hint],
    );

    let path = folder.join("adapter/adapter_config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).expect("written")).expect("JSON");
    config["use_dora"] = json!(true);
    std::fs::write(&path, config.to_string()).expect("writable");
    refuse(folder, score("base", "adapter"), &["use_dora = true: DoRA cannot be read", "merge_and_unload"]);

    let classifier = Classifier::new(adapted(), 2, 1);
    let labels = ["ham", "spam"].map(str::to_owned);
    save_classifier_adapter(&classifier, &labels, &folder.join("spam"), "base").expect("writable");
    refuse(folder, score("base", "spam"), &["an adapter that classifies texts, and predicts no tokens"]);
}
