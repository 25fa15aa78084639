//! The numbers of an adapter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::targets::{Targets, is_called};
use crate::GptConfig;
use crate::error::{Error, Result};
use crate::weights::LinearMap;

/// Configuration of an adapter, with PEFT's meaning of each number.
///
/// ```
/// use kiln_model::{GptConfig, LoraConfig, Targets};
///
/// let gpt2 = GptConfig::preset("gpt2").expect("a listed preset");
/// assert_eq!(LoraConfig::default().num_parameters(&gpt2)?, 294_912);
/// let all = LoraConfig { rank: 16, targets: Targets::AllLinear, ..LoraConfig::default() };
/// assert_eq!(all.num_parameters(&gpt2)?, 2_359_296);
/// # Ok::<(), kiln_model::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Columns of `A` and rows of `B`.
    pub rank: usize,
    /// What is added is multiplied by `alpha / rank`.
    pub alpha: f64,
    /// Probability of dropping a feature that an adapter reads, while training, in `[0, 1)`.
    pub dropout: f64,
    /// Which linear maps are adapted.
    pub targets: Targets,
    /// Multiplies by `alpha / √rank` instead (<https://arxiv.org/abs/2312.03732>).
    pub rslora: bool,
    /// Ranks of maps that differ, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rank_pattern: BTreeMap<String, usize>,
    /// Alphas of maps that differ, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub alpha_pattern: BTreeMap<String, f64>,
}

impl Default for LoraConfig {
    /// PEFT's numbers: rank 8, alpha 8, no dropout.
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 8.0,
            dropout: 0.0,
            targets: Targets::default(),
            rslora: false,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
        }
    }
}

/// A linear map, and the numbers of its adapter.
#[derive(Clone, Debug)]
pub(crate) struct Adapted {
    pub(crate) map: LinearMap,
    pub(crate) rank: usize,
    pub(crate) scale: f64,
}

impl LoraConfig {
    /// Checks that such an adapter exists for such a model.
    ///
    /// # Errors
    ///
    /// [`Error::Lora`] with the field, its value, and what is wrong with it.
    pub fn validate(&self, config: &GptConfig) -> Result<()> {
        self.adapted(config).map(drop)
    }

    /// Numbers that an adapter of such a model learns: `Σ rank (d_in + d_out)` over the maps that it adapts.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate).
    pub fn num_parameters(&self, config: &GptConfig) -> Result<usize> {
        let adapted = self.adapted(config)?;
        Ok(adapted.iter().map(|Adapted { map, rank, .. }| rank * (map.d_in + map.d_out)).sum())
    }

    /// The linear maps that are adapted, in the order of the model.
    pub(crate) fn adapted(&self, config: &GptConfig) -> Result<Vec<Adapted>> {
        let refused =
            |key, value: String, reason: &str| Error::Lora { key, value, reason: reason.to_owned() };
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(refused("dropout", self.dropout.to_string(), "must be at least 0 and below 1"));
        }
        let maps = self.targets.of(config)?;
        self.check_patterns(&maps)?;
        let adapted = maps.into_iter().map(|map| {
            let rank = of_pattern("rank_pattern", &self.rank_pattern, &map)?.unwrap_or(self.rank);
            let alpha = of_pattern("alpha_pattern", &self.alpha_pattern, &map)?.unwrap_or(self.alpha);
            if !(1..=MOST_RANK).contains(&rank) {
                return Err(refused("rank", rank.to_string(), &format!("must be from 1 to {MOST_RANK}")));
            }
            if !(alpha.is_finite() && alpha > 0.0) {
                return Err(refused("alpha", alpha.to_string(), "must be above 0 and finite"));
            }
            let divisor = if self.rslora { (rank as f64).sqrt() } else { rank as f64 };
            Ok(Adapted { map, rank, scale: alpha / divisor })
        });
        adapted.collect()
    }

    /// Names of patterns that no adapted map has would be ignored without a word.
    fn check_patterns(&self, maps: &[LinearMap]) -> Result<()> {
        let ranks = self.rank_pattern.keys().map(|name| ("rank_pattern", name));
        let alphas = self.alpha_pattern.keys().map(|name| ("alpha_pattern", name));
        match ranks.chain(alphas).find(|(_, name)| !maps.iter().any(|map| is_called(map, name))) {
            None => Ok(()),
            Some((key, name)) => Err(Error::Lora {
                key,
                value: name.clone(),
                reason: "no map that is adapted has this name, and regular expressions are not read"
                    .to_owned(),
            }),
        }
    }
}

/// More columns than any matrix of a model has make no sense.
const MOST_RANK: usize = 1 << 16;

/// What a pattern says of a map.
fn of_pattern<T: Copy>(
    key: &'static str,
    pattern: &BTreeMap<String, T>,
    map: &LinearMap,
) -> Result<Option<T>> {
    let mut named = pattern.iter().filter(|(name, _)| is_called(map, name));
    match (named.next(), named.next()) {
        (found, None) => Ok(found.map(|(_, value)| *value)),
        (_, Some((second, _))) => Err(Error::Lora {
            key,
            value: second.clone(),
            reason: format!("another name says something of `{}` too", map.name),
        }),
    }
}
