//! Steering by name: a feature of a sparse autoencoder, or a control vector.

use std::fmt;
use std::str::FromStr;

use kiln_model::{
    Backend, ControlVector, GptConfig, SaeConfig, SaeStatistics, SaeWeights, Site, SparseAutoencoder,
};
use serde::{Deserialize, Serialize};

use super::{Action, Intervention, SteeredPositions, Steering};
use crate::error::{Error, Result};
use crate::vectors::norm;

/// What is there to steer a model with.
#[derive(Clone, Debug)]
pub struct SteeringKit {
    config: GptConfig,
    autoencoder: Option<Autoencoder>,
    vectors: Vec<(String, ControlVector)>,
}

/// What is turned, and how far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SteeringDial {
    /// What is turned.
    #[serde(flatten)]
    pub handle: SteeringHandle,
    /// What is done with it.
    pub mode: SteeringMode,
    /// How far, in `unit`; [`SteeringMode::Ablate`] needs none.
    pub strength: f32,
    /// What a strength of 1 is.
    pub unit: SteeringUnit,
    /// Only behind this block, of several that a vector has directions for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// At which positions.
    pub positions: SteeredPositions,
}

/// What there is to turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SteeringHandle {
    /// A feature of the autoencoder, by its number.
    Feature(usize),
    /// A control vector, by its name.
    Vector(String),
}

/// What is done with a direction: the kinds of [`Action`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SteeringMode {
    /// The feature is set to the strength, whatever it was.
    #[default]
    Clamp,
    /// The strength of the direction is added.
    Add,
    /// What the stream holds of the direction is taken away.
    Ablate,
}

/// What a strength of 1 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SteeringUnit {
    /// A vector as long as the residual stream is there, on the average.
    #[default]
    Norm,
    /// The largest value that the feature was seen to have.
    Max,
    /// The direction as it stands in the file.
    Raw,
}

/// An autoencoder's numbers on this side of the device.
#[derive(Clone, Debug)]
struct Autoencoder {
    config: SaeConfig,
    weights: SaeWeights,
    statistics: Option<SaeStatistics>,
}

impl SteeringKit {
    /// An empty kit for a model of this configuration.
    pub fn new(config: &GptConfig) -> Self {
        Self { config: config.clone(), autoencoder: None, vectors: Vec::new() }
    }

    /// The same with the features of an autoencoder.
    ///
    /// # Errors
    ///
    /// [`Error::Steering`] if it does not fit the model, [`Error::Model`] if its features cannot be read one by one.
    pub fn with_autoencoder<B: Backend>(mut self, autoencoder: &SparseAutoencoder<B>) -> Result<Self> {
        let (config, what) = (autoencoder.config().clone(), "by an autoencoder");
        if config.d_in != self.config.d_model {
            let (d_in, d_model) = (config.d_in, self.config.d_model);
            return Err(refused(
                what,
                format!("it reads vectors of {d_in} numbers; the stream is {d_model} wide"),
            ));
        }
        if !config.hook.is_on_stream() || !Site::all(&self.config).contains(&config.hook) {
            return Err(refused(
                what,
                format!("it reads {}, which is no place on this model's stream", config.hook),
            ));
        }
        autoencoder.feature(0)?;
        let (weights, statistics) = (autoencoder.weights(), autoencoder.statistics().cloned());
        self.autoencoder = Some(Autoencoder { config, weights, statistics });
        Ok(self)
    }

    /// The same with a control vector.
    ///
    /// # Errors
    ///
    /// [`Error::Steering`] if it does not fit the model.
    pub fn with_vector(mut self, name: impl Into<String>, vector: ControlVector) -> Result<Self> {
        let name = name.into();
        let (layers, d_model) = (self.config.n_layers, self.config.d_model);
        for (layer, direction) in &vector.directions {
            if *layer >= layers {
                return Err(refused(
                    &name,
                    format!("it has a direction for block {layer}; the model has {layers} blocks"),
                ));
            }
            if direction.len() != d_model {
                let found = direction.len();
                return Err(refused(
                    &name,
                    format!("its directions have {found} numbers; the stream is {d_model} wide"),
                ));
            }
        }
        self.vectors.push((name, vector));
        Ok(self)
    }

    /// Names of the control vectors.
    pub fn vectors(&self) -> impl Iterator<Item = &str> {
        self.vectors.iter().map(|(name, _)| name.as_str())
    }

    /// Number of features of the autoencoder, if there is one.
    pub fn features(&self) -> Option<usize> {
        self.autoencoder.as_ref().map(|autoencoder| autoencoder.config.d_sae)
    }

    /// What these dials come to.
    ///
    /// # Errors
    ///
    /// [`Error::Steering`] for a feature or vector that is not in the kit, and for units and modes that it does not have.
    pub fn steering(&self, dials: &[SteeringDial]) -> Result<Steering> {
        let interventions: Vec<Vec<Intervention>> =
            dials.iter().map(|dial| self.interventions(dial)).collect::<Result<_>>()?;
        Steering::new(interventions.into_iter().flatten(), &self.config)
    }

    fn interventions(&self, dial: &SteeringDial) -> Result<Vec<Intervention>> {
        let refuse = |reason: String| refused(&dial.handle.to_string(), reason);
        match &dial.handle {
            SteeringHandle::Feature(feature) => {
                let autoencoder = self.autoencoder.as_ref();
                let autoencoder = autoencoder.ok_or_else(|| refuse("there is no autoencoder".to_owned()))?;
                Ok(vec![autoencoder.intervention(*feature, dial)?])
            }
            SteeringHandle::Vector(name) => {
                let found = self.vectors.iter().find(|(known, _)| known == name);
                let (_, vector) = found.ok_or_else(|| {
                    let known: Vec<&str> = self.vectors().collect();
                    match known.is_empty() {
                        true => refuse("there is no control vector".to_owned()),
                        false => refuse(format!("no such vector; there is {}", known.join(", "))),
                    }
                })?;
                of_vector(vector, dial)
            }
        }
    }
}

impl Autoencoder {
    fn intervention(&self, feature: usize, dial: &SteeringDial) -> Result<Intervention> {
        let SaeConfig { d_in, d_sae, hook, mean_norm, apply_b_dec_to_input, .. } = self.config;
        let refuse = |reason: String| Err(refused(&dial.handle.to_string(), reason));
        if feature >= d_sae {
            return refuse(format!("the autoencoder has features 0 to {}", d_sae - 1));
        }
        if let Some(layer) = dial.layer.filter(|layer| hook.layer() != Some(*layer)) {
            return refuse(format!("its place is {hook}, not in block {layer}"));
        }
        let direction = self.weights.w_dec[feature * d_in..][..d_in].to_vec();
        let length = norm(&direction);
        let unit = match dial.unit {
            SteeringUnit::Raw => 1.0,
            SteeringUnit::Norm => match mean_norm {
                Some(norm) if length > 0.0 => norm as f32 / length,
                _ => return refuse("the files do not say how long vectors are there".to_owned()),
            },
            SteeringUnit::Max => match &self.statistics {
                Some(statistics) => statistics.max_activation[feature],
                None => return refuse("the files do not say how active features become".to_owned()),
            },
        };
        let amount = dial.strength * unit;
        let action = match dial.mode {
            SteeringMode::Add => Action::Add { amount },
            SteeringMode::Ablate => Action::Ablate,
            SteeringMode::Clamp => {
                let encoder: Vec<f32> = self.weights.w_enc.chunks(d_sae).map(|row| row[feature]).collect();
                let of_bias = || self.weights.b_dec.iter().zip(&encoder).map(|(bias, weight)| bias * weight);
                let folded: f32 = if apply_b_dec_to_input { of_bias().sum() } else { 0.0 };
                let bias = self.weights.b_enc[feature] - folded;
                Action::Clamp { value: amount, encoder, bias, threshold: self.weights.threshold[feature] }
            }
        };
        Ok(Intervention { site: hook, direction, action, positions: dial.positions })
    }
}

/// A control vector is added behind each of its blocks; it has nothing that could be set to a value.
fn of_vector(vector: &ControlVector, dial: &SteeringDial) -> Result<Vec<Intervention>> {
    let refuse = |reason: &str| refused(&dial.handle.to_string(), reason.to_owned());
    let asked = |layer: &usize| dial.layer.is_none_or(|asked| asked == *layer);
    if let Some(layer) = dial.layer.filter(|layer| !vector.directions.contains_key(layer)) {
        return Err(refuse(&format!("it has no direction for block {layer}")));
    }
    let directions = vector.directions.iter().filter(|(layer, _)| asked(layer));
    directions
        .map(|(layer, direction)| {
            let unit = match (dial.unit, vector.mean_norm) {
                (SteeringUnit::Raw, _) => 1.0,
                (SteeringUnit::Norm, Some(mean)) => mean as f32 / norm(direction).max(f32::MIN_POSITIVE),
                (SteeringUnit::Norm, None) => {
                    return Err(refuse("its file does not say how long vectors are there: use the unit raw"));
                }
                (SteeringUnit::Max, _) => {
                    return Err(refuse("a vector has no largest value: use the unit raw or norm"));
                }
            };
            let action = match dial.mode {
                SteeringMode::Add => Action::Add { amount: dial.strength * unit },
                SteeringMode::Ablate => Action::Ablate,
                SteeringMode::Clamp => {
                    return Err(refuse("a vector is added or ablated, and not clamped"));
                }
            };
            let (site, direction) = (Site::ResidPost(*layer), direction.clone());
            Ok(Intervention { site, direction, action, positions: dial.positions })
        })
        .collect()
}

fn refused(what: &str, reason: String) -> Error {
    Error::Steering { what: what.to_owned(), reason }
}

impl fmt::Display for SteeringHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Feature(feature) => write!(f, "feature {feature}"),
            Self::Vector(name) => write!(f, "vector {name:?}"),
        }
    }
}

impl FromStr for SteeringMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "clamp" => Ok(Self::Clamp),
            "add" => Ok(Self::Add),
            "ablate" => Ok(Self::Ablate),
            _ => Err("clamp, add or ablate".to_owned()),
        }
    }
}

impl FromStr for SteeringUnit {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "norm" => Ok(Self::Norm),
            "max" => Ok(Self::Max),
            "raw" => Ok(Self::Raw),
            _ => Err("norm, max or raw".to_owned()),
        }
    }
}
