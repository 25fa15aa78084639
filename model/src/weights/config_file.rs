//! `config.json` as `transformers` writes it, and what it means for a [`GptConfig`].

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::family::{Family, Key};
use super::{Dtype, SpecialTokens, json_file, rotary_keys};
use crate::error::{Error, Result};
use crate::{GptConfig, Heads};

/// Reads and checks the file at `path`.
pub(super) fn read(path: &Path) -> Result<GptConfig> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let file = json_file::parse(&text).map_err(|error| Error::format(path, error.to_string()))?;
    interpret(path, &file, &text)
}

/// The configuration that `file` describes, which is written as `text` at `path`; nothing, if it was never written.
pub(super) fn interpret(path: &Path, file: &Value, text: &str) -> Result<GptConfig> {
    let refuse = |reason: String| Error::format(path, reason);
    // The type first: another architecture should be told apart from a damaged file.
    let family = Family::of_model_type(file.get("model_type").and_then(Value::as_str)).map_err(refuse)?;
    let located = |key: &str, reason: String| {
        let line = text.lines().position(|line| line.contains(&format!("\"{key}\"")));
        let line = line.map(|line| format!("line {}: ", line + 1)).unwrap_or_default();
        refuse(format!("{line}{reason}"))
    };
    let config = configuration(family, file).map_err(|(key, reason)| located(key, reason))?;
    config.validate().map_err(|error| {
        let reason = in_keys(family, error.to_string());
        let key = reason.split(' ').next().unwrap_or_default().to_owned();
        located(&key, reason)
    })?;
    Ok(config)
}

/// A message with the keys of the file in place of the fields that they set.
fn in_keys(family: &Family, message: String) -> String {
    family.keys().fold(message, |message, key| match *key {
        Key::Field(name, field) => message.replace(&format!("model.{field} "), &format!("{name} ")),
        Key::FeedForward(name) => message.replace("model.d_ff ", &format!("{name} ")),
        _ => message,
    })
}

/// A key, and what is wrong with its value.
type Problem = (&'static str, String);

/// The configuration that `file` describes.
fn configuration(family: &Family, file: &Value) -> Result<GptConfig, Problem> {
    let defaults = fields_of(&(family.defaults)());
    let mut fields = defaults.clone();
    // Several keys may set the same field.
    let mut set: BTreeMap<&str, Value> = BTreeMap::new();
    for key in family.keys() {
        let Some((name, field, value)) = setting(key, file, &defaults)? else { continue };
        fields.insert(field.to_owned(), value);
        // Field by field, so that an error knows its key.
        let config: GptConfig = serde_json::from_value(Value::Object(fields))
            .map_err(|error| (name, format!("{name}: {error}")))?;
        fields = fields_of(&config);
        let value = fields.get(field).cloned().unwrap_or_default();
        if set.insert(field, value.clone()).is_some_and(|before| before != value) {
            return Err((name, disagreement(family, field, file, &defaults)));
        }
    }
    let mut config: GptConfig = serde_json::from_value(Value::Object(fields)).expect("checked above");
    for key in family.keys() {
        match *key {
            Key::Rotary => config.positions = rotary_keys::read(file)?,
            Key::Biases(name, biases) => match file.get(name) {
                None | Some(Value::Null | Value::Bool(false)) => {}
                Some(Value::Bool(true)) => config.bias = config.bias.with(biases),
                Some(value) => return Err((name, format!("{name} = {value}, expected true or false"))),
            },
            _ => {}
        }
    }
    if !set.contains_key("d_ff") {
        config.d_ff = config.d_model.saturating_mul(4);
    }
    Ok(config)
}

/// Name, field and value of a key, if it sets a field.
fn setting(
    key: &Key,
    file: &Value,
    defaults: &Map<String, Value>,
) -> Result<Option<(&'static str, &'static str, Value)>, Problem> {
    match *key {
        Key::Field(name, field) => {
            let value = file.get(name).or(defaults.get(field));
            Ok(value.map(|value| (name, field, value.clone())))
        }
        Key::FeedForward(name) => {
            let value = file.get(name).filter(|value| !value.is_null());
            Ok(value.map(|value| (name, "d_ff", value.clone())))
        }
        Key::Unsupported(name) => match file.get(name) {
            None | Some(Value::Bool(false)) => Ok(None),
            Some(value) => Err((name, format!("{name} = {value} is not supported"))),
        },
        Key::Foreign(name, ours) => match file.get(name).filter(|value| !value.is_null()) {
            Some(value) if file.get(ours) != Some(value) => {
                let here = file.get(ours).map_or("left out".to_owned(), Value::to_string);
                let reason = "is what other architectures call it, and would have no effect";
                Err((name, format!("{name} = {value}, but {ours} is {here}: {name} {reason}; write {ours}")))
            }
            _ => Ok(None),
        },
        Key::WithoutEffect(_) | Key::SpecialToken(_) | Key::Biases(..) | Key::Rotary => Ok(None),
    }
}

/// Says which keys set `field` to different values.
fn disagreement(family: &Family, field: &str, file: &Value, defaults: &Map<String, Value>) -> String {
    let values = family.keys().filter_map(|key| match key {
        Key::Field(name, set) if *set == field => {
            let value = file.get(name).or(defaults.get(field)).unwrap_or(&Value::Null);
            Some(format!("{name} = {value}"))
        }
        _ => None,
    });
    let values: Vec<String> = values.collect();
    format!("{} differ, and Kiln has one {field} for all of them; make them equal", values.join(", "))
}

/// The file's contents.
pub(super) fn contents(
    family: &Family,
    config: &GptConfig,
    special_tokens: &SpecialTokens,
    dtype: Dtype,
) -> Map<String, Value> {
    let Heads { n_kv_heads, head_dim, .. } = config.heads();
    let sized = GptConfig { n_kv_heads: Some(n_kv_heads), head_dim: Some(head_dim), ..config.clone() };
    let fields = fields_of(&sized);
    let first = [("architectures", json!([family.architecture])), ("model_type", json!(family.model_type))];
    let keys = family.keys().flat_map(|key| match *key {
        Key::Field(name, field) => vec![(name, fields[field].clone())],
        Key::FeedForward(name) => vec![(name, fields["d_ff"].clone())],
        Key::Biases(name, biases) => vec![(name, Value::Bool(config.bias.with(biases) == config.bias))],
        Key::Rotary => rotary_keys::written(&config.positions),
        Key::Unsupported(name) | Key::WithoutEffect(name) => vec![(name, Value::Bool(false))],
        Key::SpecialToken(name) => vec![(name, special_tokens.value(name))],
        Key::Foreign(..) => Vec::new(),
    });
    // For readers of the file; the weights themselves say what they are.
    let dtype = match dtype {
        Dtype::F32 => "float32",
        Dtype::Bf16 => "bfloat16",
        Dtype::F16 => "float16",
    };
    let all = first.into_iter().chain(keys).chain([("dtype", json!(dtype))]);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The fields of a configuration by name, in its own order.
fn fields_of(config: &GptConfig) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        other => panic!("a struct of numbers, switches and names is an object, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What reading `file` gives; an error without the path before it.
    fn read_text(file: &str) -> Result<GptConfig, String> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("config.json");
        std::fs::write(&path, file).expect("writable");
        read(&path).map_err(|error| {
            error
                .to_string()
                .strip_prefix(&format!("{}: ", path.display()))
                .expect("the path first")
                .to_owned()
        })
    }

    #[test]
    fn what_is_left_out_is_as_transformers_has_it() {
        let published = GptConfig { dropout: 0.1, ..GptConfig::preset("gpt2").expect("it exists") };
        assert_eq!(read_text(r#"{"model_type": "gpt2", "n_inner": null}"#), Ok(published));
        let narrow = read_text(r#"{"model_type": "gpt2", "n_embd": 24, "n_head": 2}"#).expect("valid");
        assert_eq!((narrow.d_model, narrow.n_heads, narrow.d_ff), (24, 2, 96));
        let agreeing =
            r#"{"model_type": "gpt2", "n_embd": 24, "hidden_size": 24, "n_head": 2, "temperature": NaN}"#;
        assert_eq!(read_text(agreeing), Ok(narrow));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let family = Family::of_model_type(Some("gpt2")).expect("a family");
        let config = GptConfig {
            vocab_size: 65,
            d_ff: 20,
            dropout: 0.25,
            bias: false.into(),
            tied_head: false,
            scale_attention_by_layer: true,
            ..GptConfig::new(2, 2, 16)
        };
        let written = contents(family, &config, &SpecialTokens::of_end_of_text(Some(64)), Dtype::Bf16);
        assert_eq!(written["eos_token_id"], 64);
        assert_eq!(written["dtype"], "bfloat16");
        assert_eq!(read_text(&Value::Object(written).to_string()), Ok(config));
    }

    #[test]
    fn errors_name_the_key_of_the_file() {
        let refused = |text| read_text(text).expect_err("it is wrong");
        assert_eq!(
            refused("{\n\"model_type\": \"gpt2\",\n\"n_embd\": \"12\"\n}"),
            "line 3: n_embd: invalid type: string \"12\", expected usize"
        );
        assert_eq!(
            refused(r#"{"model_type": "gpt2", "resid_pdrop": 0, "embd_pdrop": 0.0, "attn_pdrop": 0.2}"#),
            "line 1: resid_pdrop = 0, embd_pdrop = 0.0, attn_pdrop = 0.2 differ, and Kiln has one dropout for all of \
             them; make them equal"
        );
        assert_eq!(
            refused(r#"{"model_type": "gpt2", "add_cross_attention": true}"#),
            "line 1: add_cross_attention = true is not supported"
        );
        assert_eq!(
            refused(r#"{"model_type": "gpt2", "hidden_size": 64}"#),
            "line 1: hidden_size = 64, but n_embd is left out: hidden_size is what other architectures call it, and would \
             have no effect; write n_embd"
        );
        assert_eq!(
            refused(r#"{"model_type": "gpt2", "n_head": 5, "n_embd": 128}"#),
            "line 1: n_head = 5: does not divide n_embd = 128"
        );
        assert_eq!(
            refused(r#"{"model_type": "gpt2", "n_inner": 0}"#),
            "line 1: n_inner = 0: must be at least 1"
        );
        assert!(
            refused(r#"{"model_type": "gpt2", "n_head": 4, "num_attention_heads": 2}"#)
                .contains("n_head is 4")
        );
        assert!(refused(r#"{"model_type": "gpt2", "layer_norm_epsilon": NaN}"#).contains("NaN"));
        assert_eq!(
            refused(r#"{"model_type": "mamba"}"#),
            "model_type is \"mamba\"; only \"gpt2\", \"llama\", \"qwen2\", \"qwen3\", \"kiln\" is supported"
        );
        assert!(refused("{}").starts_with("there is no model_type; expected \"gpt2\""));
    }
}
