//! What a block may be made of: each choice of the architecture is a value here.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What brings the vectors of the residual stream to one size before a layer reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Mean 0 and variance 1 (<https://arxiv.org/abs/1607.06450>), as in GPT-2.
    #[default]
    LayerNorm,
    /// Root mean square 1 (<https://arxiv.org/abs/1910.07467>), as in Llama.
    RmsNorm,
}

/// How the feed-forward network gets from `d_model` to `d_ff` features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedForwardKind {
    /// `activation(x W_fc)`, as in GPT-2.
    #[default]
    Plain,
    /// `activation(x W_gate) · (x W_fc)` (<https://arxiv.org/abs/2002.05202>), as in Llama.
    Gated,
}

/// How a model knows where a token stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Positions {
    /// A learned vector for each position is added to the token's, as in GPT-2.
    #[default]
    Learned,
    /// Queries and keys are rotated by angles that grow with the position.
    Rotary(Rotary),
}

/// Rotary positions (<https://arxiv.org/abs/2104.09864>): pair `i` of a head's features, which are `i` and
/// `i + head_dim / 2`, turns by `position · theta^(-2 i / head_dim)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotary {
    /// Base of the wavelengths: they go from `2π` to `2π · theta` positions.
    pub theta: f64,
    /// What lets a model read sequences longer than it was first trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<RotaryScaling>,
}

impl Default for Rotary {
    fn default() -> Self {
        Self { theta: 10_000.0, scaling: None }
    }
}

impl Rotary {
    /// What is wrong with a value, if something is.
    pub(super) fn validate(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(format!("{name} must be a positive number")),
        };
        positive("theta", self.theta)?;
        match self.scaling {
            None => Ok(()),
            Some(RotaryScaling::Linear { factor }) => positive("factor", factor),
            Some(RotaryScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context_length,
            }) => {
                positive("factor", factor)?;
                positive("low_freq_factor", low_freq_factor)?;
                match high_freq_factor.is_finite() && high_freq_factor > low_freq_factor {
                    true if original_context_length > 0 => Ok(()),
                    true => Err("original_context_length must be at least 1".to_owned()),
                    false => Err("high_freq_factor must be more than low_freq_factor".to_owned()),
                }
            }
        }
    }
}

/// How the angles of [`Rotary`] are stretched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RotaryScaling {
    /// Every angle is divided by `factor` (<https://arxiv.org/abs/2306.15595>).
    Linear {
        /// How much.
        factor: f64,
    },
    /// Long wavelengths are divided by `factor`, short ones kept, and those between blended, as in Llama 3.1.
    Llama3 {
        /// How much.
        factor: f64,
        /// Wavelengths above `original_context_length / low_freq_factor` are long.
        low_freq_factor: f64,
        /// Wavelengths below `original_context_length / high_freq_factor` are short.
        high_freq_factor: f64,
        /// Context that the model was first trained on, in tokens.
        original_context_length: usize,
    },
}

/// `"learned"`, `"rotary"`, or a table of what [`Rotary`] has.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling {
    Name(String),
    Rotary(Rotary),
}

impl Serialize for Positions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Learned => Spelling::Name("learned".to_owned()),
            Self::Rotary(rotary) => Spelling::Rotary(*rotary),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "expected \"learned\", \"rotary\", or a table such as { theta = 10000.0 }";
        match Spelling::deserialize(deserializer).map_err(|_| D::Error::custom(expected))? {
            Spelling::Rotary(rotary) => Ok(Self::Rotary(rotary)),
            Spelling::Name(name) if name == "learned" => Ok(Self::Learned),
            Spelling::Name(name) if name == "rotary" => Ok(Self::Rotary(Rotary::default())),
            Spelling::Name(name) => Err(D::Error::custom(format!("unknown positions {name:?}, {expected}"))),
        }
    }
}

/// Which layers have biases. `true`, `false`, or a list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Biases {
    /// The map to queries, keys and values.
    pub qkv: bool,
    /// The map from attention back onto the residual stream.
    pub attention_out: bool,
    /// The maps of the feed-forward network.
    pub feed_forward: bool,
    /// The norms.
    pub norm: bool,
}

impl Biases {
    /// Everywhere, as in GPT-2.
    pub const ALL: Self = Self { qkv: true, attention_out: true, feed_forward: true, norm: true };
    /// Nowhere, as in Llama.
    pub const NONE: Self = Self { qkv: false, attention_out: false, feed_forward: false, norm: false };
    /// Where queries, keys and values are made, as in Qwen 2.
    pub const QKV: Self = Self { qkv: true, ..Self::NONE };

    const NAMES: [&str; 4] = ["qkv", "attention_out", "feed_forward", "norm"];

    /// These and `others`.
    pub const fn with(self, others: Self) -> Self {
        Self {
            qkv: self.qkv || others.qkv,
            attention_out: self.attention_out || others.attention_out,
            feed_forward: self.feed_forward || others.feed_forward,
            norm: self.norm || others.norm,
        }
    }

    /// The names of the layers that have biases.
    pub fn names(&self) -> Vec<&'static str> {
        let has = [self.qkv, self.attention_out, self.feed_forward, self.norm];
        Self::NAMES.into_iter().zip(has).filter_map(|(name, has)| has.then_some(name)).collect()
    }
}

impl From<bool> for Biases {
    fn from(everywhere: bool) -> Self {
        if everywhere { Self::ALL } else { Self::NONE }
    }
}

impl Serialize for Biases {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::ALL => serializer.serialize_bool(true),
            Self::NONE => serializer.serialize_bool(false),
            _ => self.names().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Biases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BiasesVisitor)
    }
}

struct BiasesVisitor;

impl<'de> Visitor<'de> for BiasesVisitor {
    type Value = Biases;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "true, false, or a list of some of {:?}", Biases::NAMES)
    }

    fn visit_bool<E>(self, everywhere: bool) -> Result<Biases, E> {
        Ok(everywhere.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Biases, A::Error> {
        let mut biases = Biases::NONE;
        while let Some(name) = names.next_element::<String>()? {
            match name.as_str() {
                "qkv" => biases.qkv = true,
                "attention_out" => biases.attention_out = true,
                "feed_forward" => biases.feed_forward = true,
                "norm" => biases.norm = true,
                other => {
                    return Err(A::Error::custom(format!(
                        "unknown layer {other:?}, expected some of {:?}",
                        Biases::NAMES
                    )));
                }
            }
        }
        Ok(biases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_written_as_they_are_read() {
        for text in ["true", "false", "[\"qkv\"]", "[\"qkv\",\"attention_out\"]"] {
            let biases: Biases = serde_json::from_str(text).expect("valid");
            assert_eq!(serde_json::to_string(&biases).expect("plain"), text);
        }
        assert!(serde_json::from_str::<Biases>("[\"head\"]").is_err());
        assert!(serde_json::from_str::<Biases>("1").is_err());
        let scaled = r#"{"theta":500000.0,"scaling":{"kind":"linear","factor":4.0}}"#;
        for text in ["\"learned\"", r#"{"theta":10000.0}"#, scaled] {
            let positions: Positions = serde_json::from_str(text).expect("valid");
            assert_eq!(serde_json::to_string(&positions).expect("plain"), text);
        }
        let rotary: Positions = serde_json::from_str("\"rotary\"").expect("valid");
        assert_eq!(rotary, Positions::Rotary(Rotary::default()));
        for wrong in ["\"alibi\"", "{\"base\":1.0}", r#"{"scaling":{"kind":"yarn","factor":2.0}}"#] {
            assert!(serde_json::from_str::<Positions>(wrong).is_err(), "{wrong}");
        }
    }
}
