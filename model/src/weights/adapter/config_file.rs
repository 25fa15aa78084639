//! `adapter_config.json` as PEFT writes it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::weights::family::{Family, MatrixLayout};
use crate::weights::json_file;
use crate::{GptConfig, LoraConfig};

/// What PEFT trains beside an adapter where texts are classified: it is called one or the other.
const HEADS: [&str; 2] = ["classifier", "score"];

/// What an adapter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// `CAUSAL_LM`
    LanguageModel,
    /// `SEQ_CLS`
    Classifier,
}

/// What the file says.
#[derive(Clone, Debug)]
pub(super) struct AdapterConfig {
    pub(super) lora: LoraConfig,
    pub(super) task: Task,
    /// The model that the adapter was trained on, as it was named then.
    pub(super) base: Option<String>,
}

/// Whether a value asks for nothing.
type Harmless = fn(&Value) -> bool;

const OFF: Harmless = |value| matches!(value, Value::Null | Value::Bool(false));
const NONE: Harmless = |value| match value {
    Value::Array(list) => list.is_empty(),
    Value::Object(map) => map.is_empty(),
    value => OFF(value),
};

/// Keys that ask for what is not read, and what that is called.
const UNSUPPORTED: [(&str, Harmless, &str); 20] = [
    ("use_dora", OFF, "DoRA"),
    ("use_qalora", OFF, "QALoRA"),
    ("use_bdlora", NONE, "BD-LoRA"),
    ("bias", |value| value.is_null() || value == "none", "an adapter with biases that learned"),
    ("lora_bias", OFF, "an adapter with biases of its own"),
    ("layers_to_transform", NONE, "an adapter of some blocks alone"),
    ("exclude_modules", NONE, "an adapter with exceptions"),
    ("target_parameters", NONE, "an adapter of single parameters"),
    ("trainable_token_indices", NONE, "an adapter with tokens that learned"),
    ("layer_replication", NONE, "an adapter of a model with repeated blocks"),
    ("ensure_weight_tying", OFF, "an adapter of tied weights"),
    ("alora_invocation_tokens", NONE, "an adapter that a token switches on"),
    ("megatron_config", NONE, "an adapter of Megatron"),
    ("loftq_config", NONE, "an adapter of quantised weights"),
    ("corda_config", NONE, "an adapter with weights that its start changed"),
    ("arrow_config", NONE, "a mixture of adapters"),
    ("kasa_config", NONE, "KaSA"),
    ("velora_config", NONE, "VeLoRA"),
    ("monteclora_config", NONE, "MonteCLoRA"),
    // PiSSA, OLoRA and others subtract from the model what they start with.
    (
        "init_lora_weights",
        |value| match value.as_str() {
            Some(name) => ["gaussian", "eva", "orthogonal"].contains(&name),
            None => true,
        },
        "an adapter with weights that its start changed",
    ),
];

/// Reads and checks the file at `path`.
pub(super) fn read(path: &Path) -> Result<AdapterConfig> {
    let file = json_file::read(path)?;
    let unsupported = |key, feature| {
        let value = file[key].to_string();
        Err(Error::UnsupportedAdapter { path: path.to_owned(), key, value, feature })
    };
    if file["peft_type"] != "LORA" {
        return unsupported("peft_type", "an adapter of another kind than LoRA");
    }
    if let Some((key, _, feature)) = UNSUPPORTED.iter().find(|(key, harmless, _)| !harmless(&file[key])) {
        return unsupported(key, feature);
    }
    let task = match file["task_type"].as_str() {
        None | Some("CAUSAL_LM") => Task::LanguageModel,
        Some("SEQ_CLS") => Task::Classifier,
        Some(_) => return unsupported("task_type", "an adapter for another task"),
    };
    let saved: Vec<String> = value(path, &file, "modules_to_save")?.unwrap_or_default();
    let is_head = |name: &String| task == Task::Classifier && HEADS.contains(&name.as_str());
    if !saved.iter().all(is_head) {
        return unsupported("modules_to_save", "an adapter with whole layers beside it");
    }
    if file["target_modules"].as_str().is_some_and(|name| name != "all-linear") {
        return unsupported("target_modules", "a regular expression");
    }
    let defaults = LoraConfig::default();
    let lora = LoraConfig {
        rank: value(path, &file, "r")?.unwrap_or(defaults.rank),
        alpha: value(path, &file, "lora_alpha")?.unwrap_or(defaults.alpha),
        dropout: value(path, &file, "lora_dropout")?.unwrap_or(defaults.dropout),
        targets: value(path, &file, "target_modules")?.unwrap_or_default(),
        rslora: value(path, &file, "use_rslora")?.unwrap_or_default(),
        rank_pattern: value(path, &file, "rank_pattern")?.unwrap_or_default(),
        alpha_pattern: value(path, &file, "alpha_pattern")?.unwrap_or_default(),
    };
    let base: Option<String> = value(path, &file, "base_model_name_or_path")?;
    Ok(AdapterConfig { lora, task, base: base.filter(|name| !name.is_empty()) })
}

/// The value of a key, if it is there and not null.
fn value<T: DeserializeOwned>(path: &Path, file: &Value, key: &str) -> Result<Option<T>> {
    serde_json::from_value(file[key].clone())
        .map_err(|error| Error::format(path, format!("{key} = {}: {error}", file[key])))
}

/// The file that describes such an adapter of such a model.
pub(super) fn contents(
    AdapterConfig { lora, task, base }: &AdapterConfig,
    config: &GptConfig,
) -> Map<String, Value> {
    let (task, saved) = match task {
        Task::LanguageModel => ("CAUSAL_LM", Value::Null),
        Task::Classifier => ("SEQ_CLS", json!(HEADS)),
    };
    let entries: BTreeMap<&str, Value> = BTreeMap::from([
        ("peft_type", json!("LORA")),
        ("task_type", json!(task)),
        ("base_model_name_or_path", json!(base)),
        ("r", json!(lora.rank)),
        ("lora_alpha", number(lora.alpha)),
        ("lora_dropout", json!(lora.dropout)),
        // PEFT itself writes the names.
        ("target_modules", json!(lora.targets.names(config))),
        ("fan_in_fan_out", json!(Family::of(config).matrices == MatrixLayout::InputFirst)),
        ("bias", json!("none")),
        ("modules_to_save", saved),
        ("inference_mode", json!(true)),
        ("init_lora_weights", json!(true)),
        ("use_rslora", json!(lora.rslora)),
        ("use_dora", json!(false)),
        ("rank_pattern", json!(lora.rank_pattern)),
        (
            "alpha_pattern",
            lora.alpha_pattern.iter().map(|(name, alpha)| (name.clone(), number(*alpha))).collect(),
        ),
        ("revision", Value::Null),
        ("layers_to_transform", Value::Null),
        ("layers_pattern", Value::Null),
    ]);
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A number as PEFT has alphas: whole where it is whole.
fn number(value: f64) -> Value {
    let whole = value as u64;
    if whole as f64 == value { json!(whole) } else { json!(value) }
}
