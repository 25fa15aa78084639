//! What is to be done to the residual stream.

use std::sync::Arc;

use kiln_model::{GptConfig, Site};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Interventions, in the order in which they are carried out at one place. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steering {
    interventions: Arc<[Intervention]>,
}

/// One change of the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Intervention {
    /// Where: a place on the stream.
    pub site: Site,
    /// The direction `v`, `[d_model]`.
    pub direction: Vec<f32>,
    /// What is done along it.
    pub action: Action,
    /// At which positions.
    pub positions: SteeredPositions,
}

/// What is done to the stream `x` along a direction `v`, at each position on its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `x + amount · v`.
    Add {
        /// How much of the direction.
        amount: f32,
    },
    /// `x + (value − f(x)) · v`: the feature is set to a value, and what else `x` holds stays
    /// (<https://transformer-circuits.pub/2024/scaling-monosemanticity/>). `f(x) = x · encoder + bias` where that exceeds
    /// `threshold`, else 0.
    Clamp {
        /// What the feature is set to.
        value: f32,
        /// What reads the feature, `[d_model]`.
        encoder: Vec<f32>,
        /// Its offset.
        bias: f32,
        /// Below it, the feature is off; not negative.
        threshold: f32,
    },
    /// `x − (x · v) v` for `v` of length 1: the stream loses what it holds of the direction.
    Ablate,
}

/// The positions at which the stream is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SteeredPositions {
    /// All, the prompt's too.
    #[default]
    All,
    /// Those of tokens that were generated.
    Generated,
    /// Those at which the clamped feature is active by itself: where the model has it in mind already, it has more of it.
    Active,
}

impl Steering {
    /// These interventions. One that adds nothing is left out: the numbers are then those of the model alone, to the last bit.
    ///
    /// # Errors
    ///
    /// [`Error::Steering`] for a place that is not on the stream, or where every sequence does not have its own; for a direction
    /// that does not have the width of the stream, or numbers that are not finite.
    pub fn new(interventions: impl IntoIterator<Item = Intervention>, config: &GptConfig) -> Result<Self> {
        let interventions: Vec<Intervention> = interventions.into_iter().collect();
        interventions.iter().try_for_each(|intervention| intervention.check(config))?;
        Ok(interventions.into_iter().collect())
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.interventions.is_empty()
    }

    /// The interventions.
    pub fn interventions(&self) -> &[Intervention] {
        &self.interventions
    }

    /// What of it changes a prompt.
    pub(crate) fn of_prompt(&self) -> Self {
        let of_prompt = |one: &&Intervention| one.positions != SteeredPositions::Generated;
        match self.interventions.iter().all(|one| of_prompt(&one)) {
            true => self.clone(),
            false => self.interventions.iter().filter(of_prompt).cloned().collect(),
        }
    }
}

impl FromIterator<Intervention> for Steering {
    fn from_iter<I: IntoIterator<Item = Intervention>>(interventions: I) -> Self {
        let changes = |one: &Intervention| one.action != Action::Add { amount: 0.0 };
        Self { interventions: interventions.into_iter().filter(changes).collect() }
    }
}

impl Intervention {
    fn check(&self, config: &GptConfig) -> Result<()> {
        let refuse = |reason: String| Err(Error::Steering { what: self.site.to_string(), reason });
        if !self.site.is_on_stream() || self.site == Site::PosEmbed {
            return refuse("only the residual stream is steered, and what is added to it".to_owned());
        }
        if !Site::all(config).contains(&self.site) {
            return refuse(format!("the model has {} blocks", config.n_layers));
        }
        let reads = matches!(self.action, Action::Clamp { .. });
        if self.positions == SteeredPositions::Active && !reads {
            return refuse("only a feature that is clamped can be active or not".to_owned());
        }
        let mut numbers = vec![&self.direction[..]];
        if let Action::Clamp { encoder, .. } = &self.action {
            numbers.push(encoder);
        }
        for numbers in &numbers {
            if numbers.len() != config.d_model {
                let (found, d_model) = (numbers.len(), config.d_model);
                return refuse(format!("a direction of {found} numbers; the stream is {d_model} wide"));
            }
        }
        let further = match &self.action {
            Action::Add { amount } => vec![*amount],
            Action::Clamp { value, bias, threshold, .. } => vec![*value, *bias, *threshold],
            Action::Ablate => vec![],
        };
        match numbers.iter().copied().flatten().chain(&further).find(|number| !number.is_finite()) {
            Some(number) => refuse(format!("{number} is not finite")),
            None => Ok(()),
        }
    }
}
