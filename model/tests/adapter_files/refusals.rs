//! Adapters that do not fit, or cannot be read.

use std::collections::BTreeMap;

use kiln_model::{Adapter, Classifier, Error, base_checksum, save_adapter};
use serde_json::{Value, json};

use super::{B, Matrices, adapted, all_linear, gpt2, llama, model, read_json, rewrite};

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
    let refused = |change: &dyn Fn(&mut Matrices)| {
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
}

#[test]
fn an_adapter_of_another_kind_and_one_without_matrices_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    save_adapter(&adapted(&gpt2(), all_linear()), folder.path(), "gpt2").expect("writable");
    let path = folder.path().join("adapter_config.json");
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
