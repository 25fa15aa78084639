//! Adapters in PEFT's directories: what is written is opened again, by the names and shapes that PEFT has, and what does not
//! fit is refused by name.

#![cfg(feature = "ndarray")]

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Distribution, Tensor};
use burn_ndarray::NdArray;
use kiln_model::{
    Adapter, Biases, Classifier, Dtype, Error, FeedForwardKind, GptConfig, GptModel, LoraConfig,
    SpecialTokens, Targets, base_checksum, save, save_adapter, save_classifier_adapter, token_tensor,
};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

type B = NdArray;

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
fn rewrite(folder: &Path, change: impl Fn(&mut BTreeMap<String, (Vec<usize>, Vec<u8>)>)) {
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
fn an_adapter_for_another_model_is_told_apart() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    save_adapter(&adapted(&gpt2(), all_linear()), folder.path(), "models/first").expect("writable");
    let adapter = Adapter::open(folder.path()).expect("just written");
    let (right, wrong) = (model(&gpt2(), 1), model(&gpt2(), 9));
    let [expected, found] = [&right, &wrong].map(base_checksum::<B, _>);
    let refused = adapter.attach(wrong, "models/second").expect_err("another model").to_string();
    let words = format!(
        "it was trained on models/first, with the weights {expected}; those of models/second are {found}"
    );
    assert!(refused.ends_with(&words), "{refused}");
    // A shorter context, a new head and an adapter leave it the model that it was.
    let shorter = right.clone().with_context_length(5);
    assert_eq!(base_checksum::<B, _>(&shorter), expected);
    assert_eq!(base_checksum::<B, _>(&Classifier::new(right.clone(), 2, 1)), expected);
    assert_eq!(base_checksum::<B, _>(&right.with_lora(all_linear(), 1).expect("valid")), expected);
    let other_layers = adapter.attach(model(&llama(), 1), "x").expect_err("another architecture");
    assert!(matches!(other_layers, Error::OtherBase { .. }), "{other_layers}");
}

#[test]
fn matrices_that_are_missing_left_over_or_misshapen_are_named() {
    let attn = "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight";
    let refused = |change: &dyn Fn(&mut BTreeMap<String, (Vec<usize>, Vec<u8>)>)| {
        let folder = tempfile::tempdir().expect("a temporary directory");
        save_adapter(&adapted(&gpt2(), all_linear()), folder.path(), "gpt2").expect("writable");
        rewrite(folder.path(), change);
        let adapter = Adapter::open(folder.path()).expect("its configuration is sound");
        adapter.attach(model(&gpt2(), 1), "gpt2").expect_err("it does not fit").to_string()
    };
    let missing = refused(&|tensors| drop(tensors.remove(attn)));
    assert!(missing.ends_with("`h.0.attn.c_attn.lora_A.weight` is missing"), "{missing}");
    let misshapen = refused(&|tensors| tensors.get_mut(attn).expect("it is there").0 = vec![8, 3]);
    let words = "`h.0.attn.c_attn.lora_A.weight` has shape [8, 3], expected [3, 8]";
    assert!(misshapen.ends_with(words), "{misshapen}");
    let both = refused(&|tensors| {
        let matrix = tensors.remove(attn).expect("it is there");
        tensors.insert(attn.replace("h.0", "h.2"), matrix);
    });
    let words = "`h.0.attn.c_attn.lora_A.weight` is missing; `h.2.attn.c_attn.lora_A.weight` belongs to nothing that is adapted";
    assert!(both.ends_with(words), "{both}");
    let nothing = refused(&BTreeMap::clear);
    assert!(nothing.ends_with("; and more"), "{nothing}");
    let infinite = refused(&|tensors| {
        tensors.get_mut(attn).expect("it is there").1[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(infinite.ends_with("h.0.attn.c_attn.lora_A.weight` holds NaN at element 1"), "{infinite}");
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    save_adapter(&adapted(&gpt2(), all_linear()), folder.path(), "gpt2").expect("writable");
    let path = folder.path().join("adapter_config.json");
    let sound = read_json(&path);
    let refused = |key: &str, value: Value| {
        let mut changed = sound.clone();
        changed[key] = value;
        std::fs::write(&path, changed.to_string()).expect("writable");
        Adapter::open(folder.path()).expect_err("refused").to_string()
    };
    for (key, value, words) in [
        ("use_dora", json!(true), "use_dora = true: DoRA cannot be read"),
        (
            "peft_type",
            json!("IA3"),
            "peft_type = \"IA3\": an adapter of another kind than LoRA cannot be read",
        ),
        ("bias", json!("all"), "bias = \"all\": an adapter with biases that learned cannot be read"),
        (
            "layers_to_transform",
            json!([0]),
            "layers_to_transform = [0]: an adapter of some blocks alone cannot be read",
        ),
        (
            "task_type",
            json!("TOKEN_CLS"),
            "task_type = \"TOKEN_CLS\": an adapter for another task cannot be read",
        ),
        (
            "modules_to_save",
            json!(["wte"]),
            "modules_to_save = [\"wte\"]: an adapter with whole layers beside it cannot be read",
        ),
        (
            "target_modules",
            json!(".*attn"),
            "target_modules = \".*attn\": a regular expression cannot be read",
        ),
        (
            "init_lora_weights",
            json!("pissa"),
            "init_lora_weights = \"pissa\": an adapter with weights that its start changed cannot be read",
        ),
    ] {
        let message = refused(key, value);
        assert!(message.ends_with(words), "{message}");
    }
    let damaged = refused("r", json!("eight"));
    assert!(damaged.contains("adapter_config.json: r = \"eight\": invalid type"), "{damaged}");
    std::fs::write(&path, sound.to_string()).expect("writable");
    let message = |model| {
        let adapter = Adapter::open(folder.path()).expect("sound");
        adapter.attach_classifier::<B>(model, "gpt2").map(|_| ()).expect_err("no classifier").to_string()
    };
    assert!(message(model(&gpt2(), 1)).ends_with("expected \"SEQ_CLS\", an adapter that classifies texts"));
    std::fs::remove_file(folder.path().join("adapter_model.safetensors")).expect("it is there");
    let missing = Adapter::open(folder.path()).expect_err("no matrices").to_string();
    assert!(missing.ends_with("there is no `adapter_model.safetensors`"), "{missing}");
    std::fs::remove_file(&path).expect("it is there");
    assert!(
        matches!(Adapter::open(folder.path()), Err(Error::NoModel { .. })) && !Adapter::is_in(folder.path())
    );
}

#[test]
fn a_file_with_a_flipped_bit_is_found() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    save_adapter(&adapted(&gpt2(), all_linear()), folder.path(), "gpt2").expect("writable");
    let path = folder.path().join("adapter_model.safetensors");
    let mut bytes = std::fs::read(&path).expect("written");
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).expect("writable");
    let adapter = Adapter::open(folder.path()).expect("its configuration is sound");
    let refused = adapter.attach(model(&gpt2(), 1), "gpt2").expect_err("damaged");
    assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
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
