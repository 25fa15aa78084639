//! Adapters in PEFT's directories: what is written is opened again, by the names and shapes that PEFT has, and what does not
//! fit is refused by name.

#![cfg(feature = "ndarray")]

mod refusals;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Distribution, Tensor};
use burn_ndarray::NdArray;
use kiln_model::{
    Adapter, Biases, Classifier, Dtype, FeedForwardKind, GptConfig, GptModel, LoraConfig, SpecialTokens,
    Targets, save, save_adapter, save_classifier_adapter, token_tensor,
};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

type B = NdArray;

/// The matrices of a file by name: shape and bytes.
type Matrices = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

fn gpt2() -> GptConfig {
    GptConfig { vocab_size: 13, context_length: 8, init_std: 0.3, ..GptConfig::new(2, 2, 8) }
}

fn llama() -> GptConfig {
    let config = GptConfig { vocab_size: 13, context_length: 8, init_std: 0.3, ..GptConfig::llama(2, 2, 8) };
    GptConfig { n_kv_heads: Some(1), ..config }
}

fn all_linear() -> LoraConfig {
    LoraConfig { rank: 3, alpha: 5.0, targets: Targets::AllLinear, ..LoraConfig::default() }
}

fn model(config: &GptConfig, seed: u64) -> GptModel<B> {
    config.init(seed, &Default::default()).expect("valid")
}

/// A model with an adapter that has learned something.
fn adapted(config: &GptConfig, lora: LoraConfig) -> GptModel<B> {
    let mut model = model(config, 1).with_lora(lora, 2).expect("valid");
    for block in &mut model.h {
        let mlp = &mut block.mlp;
        let linears = [&mut block.attn.c_attn, &mut block.attn.c_proj, &mut mlp.c_fc, &mut mlp.c_proj];
        for linear in linears.into_iter().chain(&mut mlp.c_gate) {
            for adapter in linear.lora.iter_mut().flatten() {
                let b = Tensor::random(adapter.b.dims(), Distribution::Normal(0.0, 0.2), &Default::default());
                adapter.b = Param::from_tensor(b);
            }
        }
    }
    model
}

fn logits(model: &GptModel<B>) -> Vec<f32> {
    let tokens = token_tensor(vec![1, 2, 3, 12, 0], [1, 5], &Default::default());
    model.forward(tokens).into_data().to_vec().expect("f32")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("written")).expect("JSON")
}

/// Names and shapes in a file of matrices.
fn shapes(folder: &Path) -> BTreeMap<String, Vec<usize>> {
    let bytes = std::fs::read(folder.join("adapter_model.safetensors")).expect("written");
    let file = SafeTensors::deserialize(&bytes).expect("whole");
    file.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec())).collect()
}

/// Writes the matrices again, with another list of them, and without what Kiln says in the header.
fn rewrite(folder: &Path, change: impl Fn(&mut Matrices)) {
    let path = folder.join("adapter_model.safetensors");
    let bytes = std::fs::read(&path).expect("written");
    let file = SafeTensors::deserialize(&bytes).expect("whole");
    let tensors = file.tensors().into_iter();
    let mut tensors =
        tensors.map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec()))).collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, (shape, data))| {
        (name, TensorView::new(safetensors::Dtype::F32, shape.clone(), data).expect("as many bytes"))
    });
    let written = safetensors::serialize(views, None).expect("in memory");
    std::fs::write(path, written).expect("writable");
}

#[test]
fn what_is_saved_is_opened_again_and_computes_alike() {
    let qwen2 = GptConfig { bias: Biases::QKV, ..llama() };
    let qwen3 = GptConfig { qk_norm: true, head_dim: Some(6), ..llama() };
    let kiln = GptConfig { residual_scalars: true, ..gpt2() };
    for (name, config) in
        [("gpt2", gpt2()), ("llama", llama()), ("qwen2", qwen2), ("qwen3", qwen3), ("kiln", kiln)]
    {
        let last = if config.feed_forward == FeedForwardKind::Gated { "down_proj" } else { "mlp.c_proj" };
        for lora in [
            all_linear(),
            LoraConfig { rslora: true, dropout: 0.125, ..LoraConfig::default() },
            LoraConfig { rank_pattern: BTreeMap::from([(last.to_owned(), 2)]), ..all_linear() },
        ] {
            let folder = tempfile::tempdir().expect("a temporary directory");
            let adapted = adapted(&config, lora.clone());
            save_adapter(&adapted, folder.path(), "models/base").expect("writable");
            let adapter = Adapter::open(folder.path()).expect("just written");
            assert_eq!((adapter.base_model(), adapter.is_classifier()), (Some("models/base"), false));
            let LoraConfig { targets, .. } = lora.clone();
            assert_eq!(LoraConfig { targets, ..adapter.config().clone() }, lora, "{name}");
            let opened = adapter.attach(model(&config, 1), "models/base").expect("it fits");
            assert_eq!(logits(&opened), logits(&adapted), "{name}");
            assert_ne!(logits(&opened), logits(&model(&config, 1)), "{name}");

            // Equal adapters are equal files.
            let again = tempfile::tempdir().expect("a temporary directory");
            save_adapter(&opened, again.path(), "models/base").expect("writable");
            for file in ["adapter_config.json", "adapter_model.safetensors"] {
                let [first, second] =
                    [folder.path(), again.path()].map(|folder| std::fs::read(folder.join(file)));
                assert_eq!(first.expect("written"), second.expect("written"), "{name}: {file}");
            }
        }
    }
}

/// The table of PEFT's names: `[rank, d_in]` and `[d_out, rank]`, whichever way the matrix lies.
#[test]
fn names_and_shapes_are_pefts() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    save_adapter(&adapted(&gpt2(), all_linear()), folder.path(), "gpt2").expect("writable");
    let found = shapes(folder.path());
    assert_eq!(found.len(), 2 * 4 * 2);
    let name = |layer: &str, part| format!("base_model.model.transformer.h.1.{layer}.lora_{part}.weight");
    for (layer, d_in, d_out) in
        [("attn.c_attn", 8, 24), ("attn.c_proj", 8, 8), ("mlp.c_fc", 8, 32), ("mlp.c_proj", 32, 8)]
    {
        assert_eq!(found[&name(layer, "A")], [3, d_in], "{layer}");
        assert_eq!(found[&name(layer, "B")], [d_out, 3], "{layer}");
    }
    let config = read_json(&folder.path().join("adapter_config.json"));
    let expected = json!({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "gpt2", "r": 3, "lora_alpha": 5,
        "lora_dropout": 0.0, "target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": true, "bias": "none",
        "modules_to_save": null, "inference_mode": true, "init_lora_weights": true, "use_rslora": false,
        "use_dora": false, "rank_pattern": {}, "alpha_pattern": {}, "revision": null, "layers_to_transform": null,
        "layers_pattern": null,
    });
    assert_eq!(config, expected);

    let folder = tempfile::tempdir().expect("a temporary directory");
    save_adapter(&adapted(&llama(), all_linear()), folder.path(), "llama").expect("writable");
    let found = shapes(folder.path());
    assert_eq!(found.len(), 2 * 7 * 2);
    let d_ff = llama().d_ff;
    let name = |layer: &str, part| format!("base_model.model.model.layers.0.{layer}.lora_{part}.weight");
    for (layer, d_in, d_out) in [
        ("self_attn.q_proj", 8, 8),
        ("self_attn.k_proj", 8, 4),
        ("self_attn.v_proj", 8, 4),
        ("self_attn.o_proj", 8, 8),
        ("mlp.gate_proj", 8, d_ff),
        ("mlp.up_proj", 8, d_ff),
        ("mlp.down_proj", d_ff, 8),
    ] {
        assert_eq!(found[&name(layer, "A")], [3, d_in], "{layer}");
        assert_eq!(found[&name(layer, "B")], [d_out, 3], "{layer}");
    }
    assert_eq!(read_json(&folder.path().join("adapter_config.json"))["fan_in_fan_out"], json!(false));
}

#[test]
fn the_least_configuration_has_pefts_defaults() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let lora = LoraConfig { targets: Targets::Modules(vec!["c_attn".to_owned()]), ..LoraConfig::default() };
    let adapted = adapted(&gpt2(), lora.clone());
    save_adapter(&adapted, folder.path(), "gpt2").expect("writable");
    rewrite(folder.path(), |_| ());
    let least = r#"{"peft_type": "LORA", "target_modules": ["c_attn"], "a_key_of_next_year": 7}"#;
    std::fs::write(folder.path().join("adapter_config.json"), least).expect("writable");
    let adapter = Adapter::open(folder.path()).expect("enough");
    assert_eq!((adapter.config(), adapter.base_model()), (&lora, None));
    assert_eq!((lora.rank, lora.alpha), (8, 8.0));
    // Whose weights it was trained beside is not known.
    let opened = adapter.attach(model(&gpt2(), 1), "gpt2").expect("it fits");
    assert_eq!(logits(&opened), logits(&adapted));
    adapter.attach(model(&gpt2(), 9), "gpt2").expect("nothing says that it does not fit");
}

#[test]
fn a_classifiers_head_and_labels_go_with_its_adapter() {
    let labels = ["ham", "spam \"or\" worse", "päckchen"].map(str::to_owned);
    for config in [gpt2(), GptConfig { tied_head: false, ..llama() }] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let classifier = Classifier::new(adapted(&config, all_linear()), 3, 5);
        save_classifier_adapter(&classifier, &labels, folder.path(), "base").expect("writable");
        let file = read_json(&folder.path().join("adapter_config.json"));
        assert_eq!(
            (&file["task_type"], &file["modules_to_save"]),
            (&json!("SEQ_CLS"), &json!(["classifier", "score"]))
        );
        assert_eq!(shapes(folder.path())["base_model.model.score.weight"], [3, 8]);

        let adapter = Adapter::open(folder.path()).expect("just written");
        assert!(adapter.is_classifier());
        let (opened, names) = adapter.attach_classifier(model(&config, 1), "base").expect("it fits");
        assert_eq!(names, labels);
        let scores = |classifier: &Classifier<B>| {
            let tokens = token_tensor(vec![1, 2, 3, 4, 5], [1, 5], &Default::default());
            let logits = classifier.logits(classifier.last_hidden(tokens, &[2, 3]));
            logits.into_data().to_vec::<f32>().expect("f32")
        };
        assert_eq!(scores(&opened), scores(&classifier));
        let refused =
            adapter.attach(model(&config, 1), "base").expect_err("it predicts no tokens").to_string();
        assert!(refused.contains("an adapter that classifies texts"), "{refused}");

        // PEFT itself writes no labels.
        rewrite(folder.path(), |_| ());
        let adapter = Adapter::open(folder.path()).expect("sound");
        let (_, names) = adapter.attach_classifier(model(&config, 1), "base").expect("it fits");
        assert_eq!(names, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    }
}

#[test]
fn a_model_is_saved_with_its_adapter_merged_into_it() {
    for config in [gpt2(), llama()] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let adapted = adapted(&config, all_linear());
        save(&adapted, folder.path(), Dtype::F32, &SpecialTokens::default()).expect("writable");
        let opened = kiln_model::load::<B>(folder.path(), &Default::default()).expect("a model");
        let merged = adapted.merged().expect("finite");
        assert_eq!(logits(&opened), logits(&merged));
    }
}
