//! How the next token is chosen: the parameters.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How tokens are chosen. The steps apply in this order: bias, penalties, temperature, top-k, top-p, min-p; from the
/// penalties on as `transformers` has them. A caller that ends with `..Sampling::default()` is not broken by a new
/// field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits: below 1 sharper, above 1 flatter; 0 always takes the most probable token.
    pub temperature: f64,
    /// Considers only this many of the most probable tokens; 0 considers all.
    pub top_k: usize,
    /// Considers only the most probable tokens that together reach this probability; 1 considers all
    /// (<https://arxiv.org/abs/1904.09751>).
    pub top_p: f64,
    /// Considers only tokens that are at least this probable, as a share of the most probable one; 0 considers
    /// all (<https://arxiv.org/abs/2407.01082>).
    pub min_p: f64,
    /// Makes tokens that have occurred less probable: divides their logits if positive, multiplies them if not; 1
    /// leaves them as they are (<https://arxiv.org/abs/1909.05858>). `transformers` and llama.cpp define it alike.
    pub repeat_penalty: f64,
    /// How many of the newest tokens, the prompt's included, `repeat_penalty` looks at, as in llama.cpp;
    /// `usize::MAX` looks at all, as `transformers` does.
    pub repeat_last_n: usize,
    /// Subtracted from the logit of a token for each time that it was generated; 0 changes nothing. This and
    /// `presence_penalty` are OpenAI's: they do not look at the prompt.
    pub frequency_penalty: f64,
    /// Subtracted once from the logit of a token that was generated; 0 changes nothing.
    pub presence_penalty: f64,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(u32, f32)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.8, ..Self::GREEDY }
    }
}

impl Sampling {
    /// Always the most probable token.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repeat_penalty: 1.0,
        repeat_last_n: 64,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        logit_bias: Vec::new(),
    };

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`Error::Sampling`] with the parameter and its value.
    pub fn validate(&self) -> Result<()> {
        let Self { temperature, top_p, min_p, repeat_penalty, frequency_penalty, presence_penalty, .. } =
            *self;
        let ensure = |key, value: f64, holds, reason| {
            if holds { Ok(()) } else { Err(Error::Sampling { key, value: value.to_string(), reason }) }
        };
        let is_temperature = temperature.is_finite() && temperature >= 0.0;
        ensure("temperature", temperature, is_temperature, "must be 0 (greedy) or a positive number")?;
        ensure("top_p", top_p, (0.0..=1.0).contains(&top_p), "must be between 0 and 1")?;
        ensure("min_p", min_p, (0.0..=1.0).contains(&min_p), "must be between 0 and 1")?;
        let is_penalty = repeat_penalty.is_finite() && repeat_penalty > 0.0;
        ensure("repeat_penalty", repeat_penalty, is_penalty, "must be a positive number; 1 is none")?;
        for (key, value) in [("frequency_penalty", frequency_penalty), ("presence_penalty", presence_penalty)]
        {
            ensure(key, value, value.is_finite(), "must be a number; 0 is none")?;
        }
        match self.logit_bias.iter().find(|(_, bias)| !bias.is_finite()) {
            Some((_, bias)) => ensure("logit_bias", f64::from(*bias), false, "must be a number"),
            None => Ok(()),
        }
    }

    /// Whether logits are changed before anything else.
    pub(crate) fn changes_logits(&self) -> bool {
        self.repeat_penalty != 1.0 || self.counts() || !self.logit_bias.is_empty()
    }

    /// Whether it matters how often a token was generated.
    pub(crate) fn counts(&self) -> bool {
        self.frequency_penalty != 0.0 || self.presence_penalty != 0.0
    }

    /// Whether a token that has any probability may be left out.
    pub(crate) fn filters(&self) -> bool {
        self.top_k > 0 || self.top_p < 1.0 || self.min_p > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_parameters_are_named() {
        for (key, sampling) in [
            ("temperature", Sampling { temperature: -1.0, ..Sampling::default() }),
            ("temperature", Sampling { temperature: f64::NAN, ..Sampling::default() }),
            ("top_p", Sampling { top_p: 1.5, ..Sampling::default() }),
            ("min_p", Sampling { min_p: -0.1, ..Sampling::default() }),
            ("repeat_penalty", Sampling { repeat_penalty: 0.0, ..Sampling::default() }),
            ("frequency_penalty", Sampling { frequency_penalty: f64::INFINITY, ..Sampling::default() }),
            ("presence_penalty", Sampling { presence_penalty: f64::NAN, ..Sampling::default() }),
            ("logit_bias", Sampling { logit_bias: vec![(3, f32::NAN)], ..Sampling::default() }),
        ] {
            let refused = sampling.validate().expect_err("out of range").to_string();
            assert!(refused.starts_with(key), "{refused}");
        }
    }
}
