//! `[model]`: a preset, and the keys that differ from it.

use std::fmt;

use anyhow::Result;
use kiln_model::{GptConfig, PRESETS};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use toml::{Table, Value};

/// `[model]`. Its keys are `preset` and the fields of [`GptConfig`], which alone knows their names and types.
#[derive(Clone, Debug, Default)]
pub struct ModelSection {
    pub preset: Option<String>,
    /// Names and values, in the order in which they are written out.
    fields: Vec<(String, Value)>,
}

impl ModelSection {
    /// The architecture for a tokenizer of that many tokens; without a preset, a small model for a CPU.
    pub fn config(&self, tokens: usize) -> Result<GptConfig> {
        let base = match &self.preset {
            None => GptConfig { context_length: 256, ..GptConfig::new(4, 4, 128) },
            Some(name) => GptConfig::preset(name).ok_or_else(|| {
                let reason = format!("unknown preset\nhint: use one of {}", PRESETS.join(", "));
                kiln_model::Error::Config { key: "preset", value: format!("{name:?}"), reason }
            })?,
        };
        let (d_ff, d_model) = (base.d_ff as u128, base.d_model as u128);
        let mut fields = Table::try_from(GptConfig { vocab_size: tokens, ..base })?;
        fields.extend(self.fields.iter().cloned());
        let mut config: GptConfig = fields.try_into()?;
        if self.given::<usize>("d_ff").is_none() {
            // As wide as before, beside another width.
            let scaled = config.d_model as u128 * d_ff / d_model;
            config.d_ff = usize::try_from(scaled).unwrap_or(usize::MAX).max(1);
        }
        if config.vocab_size < tokens {
            let value = config.vocab_size.to_string();
            let reason = format!("the tokenizer has {tokens} tokens");
            return Err(kiln_model::Error::Config { key: "vocab_size", value, reason }.into());
        }
        config.validate()?;
        Ok(config)
    }

    /// The value of a field, if the section has it.
    pub fn given<'de, T: Deserialize<'de>>(&self, field: &str) -> Option<T> {
        let (_, value) = self.fields.iter().find(|(name, _)| name == field)?;
        value.clone().try_into().ok()
    }

    /// A key of the section that the model with this configuration contradicts, its value, and the model's. Dropout is no part of
    /// a model that is there already.
    pub fn contradiction(&self, config: &GptConfig) -> Option<(String, Value, String)> {
        if let Some(name) = &self.preset {
            return Some(("preset".to_owned(), name.as_str().into(), "its own".to_owned()));
        }
        let mut fields = Table::try_from(config).ok()?;
        fields.extend(self.fields.iter().filter(|(name, _)| name != "dropout").cloned());
        let (ours, theirs) = (Self::resolved(&fields.try_into().ok()?), Self::resolved(config));
        let mut pairs = ours.fields.into_iter().zip(theirs.fields);
        let ((name, ours), (_, theirs)) = pairs.find(|(ours, theirs)| ours != theirs)?;
        Some((name, ours, theirs.to_string()))
    }

    /// Every field of `config` written out.
    pub fn resolved(config: &GptConfig) -> Self {
        let fields = serde_json::to_value(config).and_then(serde_json::from_value);
        let fields: serde_json::Map<_, _> = fields.expect("a struct of named fields");
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name, Value::try_from(value).expect("a number, a switch or a name")));
        Self { preset: None, fields: fields.collect() }
    }
}

impl Serialize for ModelSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let preset = self.preset.clone().map(Value::String);
        let preset = preset.iter().map(|name| ("preset", name));
        serializer.collect_map(preset.chain(self.fields.iter().map(|(name, value)| (name.as_str(), value))))
    }
}

impl<'de> Deserialize<'de> for ModelSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SectionVisitor)
    }
}

/// Keys of configurations of earlier versions, and what they are called now.
const RENAMED: [(&str, &str); 1] = [("layer_norm_epsilon", "norm_epsilon")];

struct SectionVisitor;

impl<'de> Visitor<'de> for SectionVisitor {
    type Value = ModelSection;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("the section [model]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelSection, A::Error> {
        let mut section = ModelSection::default();
        while let Some(mut name) = map.next_key::<String>()? {
            if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == name) {
                name = (*new).to_owned();
            }
            if name == "preset" {
                section.preset = Some(map.next_value()?);
            } else {
                let value = map.next_value_seed(Field(&name))?;
                section.fields.push((name, value));
            }
        }
        Ok(section)
    }
}

/// The value of a field, refused where [`GptConfig`] has no such field or another type for it: here, while
/// the reader still knows the line.
struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let mut fields = Table::try_from(GptConfig::new(1, 1, 1)).map_err(D::Error::custom)?;
        fields.insert(self.0.to_owned(), value.clone());
        match fields.try_into::<GptConfig>() {
            Ok(_) => Ok(value),
            // The section has one key more than `GptConfig` has fields.
            Err(error) if error.message().starts_with("unknown field") => Err(D::Error::custom(
                error.message().replacen("expected one of ", "expected one of `preset`, ", 1),
            )),
            Err(error) => Err(D::Error::custom(error.message())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Result<ModelSection, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn a_preset_is_changed_by_what_is_written_beside_it() {
        let config = |text: &str| section(text).expect("valid").config(65).expect("valid");
        assert_eq!(
            config(""),
            GptConfig { vocab_size: 65, context_length: 256, ..GptConfig::new(4, 4, 128) }
        );
        let medium = GptConfig::preset("gpt2-medium").expect("it exists");
        let expected = GptConfig { vocab_size: 65, dropout: 0.0, n_layers: 3, ..medium };
        assert_eq!(config("preset = \"gpt2-medium\"\ndropout = 0\nn_layers = 3"), expected);
        // The feed-forward width follows the width, unless it is written out.
        assert_eq!(config("d_model = 8").d_ff, 32);
        assert_eq!(config("d_model = 8\nd_ff = 6").d_ff, 6);
        assert_eq!(config("preset = \"smollm2-135m\"").d_ff, 1536);
    }

    #[test]
    fn a_resolved_section_lists_every_field_in_order() {
        let config = GptConfig { vocab_size: 65, ..GptConfig::new(2, 2, 16) };
        let resolved = ModelSection::resolved(&config);
        let text = toml::to_string_pretty(&resolved).expect("it can be written");
        assert_eq!(
            text,
            "vocab_size = 65\ncontext_length = 1024\nd_model = 16\nn_layers = 2\nn_heads = 2\nd_ff = 64\n\
             dropout = 0.0\nbias = true\ntied_head = true\nactivation = \"gelu_new\"\nnorm = \"layer_norm\"\n\
             norm_epsilon = 0.00001\nqk_norm = false\nembedding_norm = false\npositions = \"learned\"\nfeed_forward = \"plain\"\n\
             residual_scalars = false\nlogit_softcap = 0.0\ninit_std = 0.02\nzero_init = false\nscale_attention = true\nscale_attention_by_layer = false\n"
        );
        let renamed = text.replace("norm_epsilon", "layer_norm_epsilon");
        assert_eq!(section(&renamed).expect("valid").config(65).expect("valid"), config);
        let llama = GptConfig::preset("llama-3.2-1b").expect("it exists");
        let written = toml::to_string_pretty(&ModelSection::resolved(&llama)).expect("it can be written");
        assert_eq!(section(&written).expect("valid").config(llama.vocab_size).expect("valid"), llama);
        assert_eq!(section(&text).expect("valid").config(65).expect("valid"), config);
    }

    #[test]
    fn unknown_fields_and_other_types_are_refused() {
        let unknown = section("n_head = 2").expect_err("no such field");
        assert!(
            unknown.starts_with("unknown field `n_head`, expected one of `preset`, `vocab_size`"),
            "{unknown}"
        );
        let kind = section("activation = \"step\"").expect_err("no such activation");
        assert!(kind.contains("unknown variant `step`") && kind.contains("`gelu_new`"), "{kind}");
        let negative = section("n_heads = -3").expect_err("no such number");
        assert_eq!(negative, "invalid value: integer `-3`, expected usize");
    }
}
