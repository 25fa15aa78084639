//! Choosing the next token from logits.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How tokens are chosen. The filters apply in the order of the fields. A caller that ends with
/// `..Sampling::default()` is not broken by a new field.
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
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: 0, top_p: 1.0 }
    }
}

impl Sampling {
    /// Always the most probable token.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0 };

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`Error::Sampling`] with the parameter and its value.
    pub fn validate(&self) -> Result<()> {
        let Self { temperature, top_p, .. } = *self;
        if !temperature.is_finite() || temperature < 0.0 {
            let reason = "must be 0 (greedy) or a positive number";
            return Err(Error::Sampling { key: "temperature", value: temperature.to_string(), reason });
        }
        if !(0.0..=1.0).contains(&top_p) {
            let reason = "must be between 0 and 1";
            return Err(Error::Sampling { key: "top_p", value: top_p.to_string(), reason });
        }
        Ok(())
    }

    /// Tokens that remain, most probable first, with their probabilities. Equal logits keep the order of
    /// their ids.
    fn distribution(&self, logits: &[f32]) -> Vec<(u32, f64)> {
        let mut ranked: Vec<(u32, f64)> = (0..).zip(logits.iter().map(|logit| f64::from(*logit))).collect();
        // NaN sorts last, so a broken logit is never preferred.
        let key = |logit: f64| if logit.is_nan() { f64::NEG_INFINITY } else { logit };
        let descending = |a: &(u32, f64), b: &(u32, f64)| key(b.1).total_cmp(&key(a.1)).then(a.0.cmp(&b.0));
        if self.top_k > 0 && self.top_k < ranked.len() {
            ranked.select_nth_unstable_by(self.top_k - 1, descending);
            ranked.truncate(self.top_k);
        }
        ranked.sort_unstable_by(descending);

        let largest = ranked.first().map_or(0.0, |(_, logit)| *logit);
        let weights = ranked
            .into_iter()
            .map(|(token, logit)| (token, ((key(logit) - largest) / self.temperature).exp()));
        let mut ranked: Vec<(u32, f64)> = weights.collect();
        let total: f64 = ranked.iter().map(|(_, weight)| weight).sum();
        let mut reached = 0.0;
        let kept = ranked.iter().take_while(|(_, weight)| {
            let wanted = reached < self.top_p * total;
            reached += weight;
            wanted
        });
        let kept = kept.count().max(1);
        ranked.truncate(kept);
        let total: f64 = ranked.iter().map(|(_, weight)| weight).sum();
        ranked.iter_mut().for_each(|(_, weight)| *weight /= total);
        ranked
    }
}

/// Draws tokens; a pure function of its seed and the logits it is shown.
#[derive(Debug)]
pub struct TokenSampler {
    sampling: Sampling,
    rng: StdRng,
}

impl TokenSampler {
    /// A sampler that draws from `seed`.
    pub fn new(sampling: Sampling, seed: u64) -> Self {
        Self { sampling, rng: StdRng::seed_from_u64(seed) }
    }

    /// The next token, given one logit for each token of the vocabulary.
    ///
    /// # Panics
    ///
    /// If `logits` is empty.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        assert!(!logits.is_empty(), "a vocabulary has at least one token");
        if self.sampling.temperature == 0.0 {
            return self.sampling.argmax(logits);
        }
        let distribution = self.sampling.distribution(logits);
        let mut left: f64 = self.rng.random();
        for (token, probability) in &distribution {
            left -= probability;
            if left < 0.0 {
                return *token;
            }
        }
        // Rounding may leave a sliver of probability behind.
        distribution[distribution.len() - 1].0
    }
}

impl Sampling {
    fn argmax(&self, logits: &[f32]) -> u32 {
        let mut best = 0;
        for (index, logit) in logits.iter().enumerate() {
            if *logit > logits[best] || logits[best].is_nan() {
                best = index;
            }
        }
        best as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 3.0, 1.0, 2.0, -1.0];

    fn tokens(sampling: &Sampling) -> Vec<u32> {
        sampling.distribution(&LOGITS).into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn temperature_zero_takes_the_largest_whatever_the_seed() {
        for seed in 0..20 {
            assert_eq!(TokenSampler::new(Sampling::GREEDY, seed).next(&LOGITS), 1);
        }
        assert_eq!(TokenSampler::new(Sampling::GREEDY, 0).next(&[f32::NAN, 1.0, 2.0]), 2);
    }

    #[test]
    fn filters_keep_what_they_say() {
        let all = Sampling { temperature: 1.0, ..Sampling::default() };
        assert_eq!(tokens(&all), [1, 3, 2, 0, 4]);
        assert_eq!(tokens(&Sampling { top_k: 2, ..all.clone() }), [1, 3]);
        assert_eq!(tokens(&Sampling { top_k: 9, ..all.clone() }), [1, 3, 2, 0, 4]);
        assert_eq!(tokens(&Sampling { top_p: 0.0, ..all.clone() }), [1]);
        // Probabilities are 0.636, 0.234, 0.086, 0.032, 0.012.
        assert_eq!(tokens(&Sampling { top_p: 0.8, ..all.clone() }), [1, 3]);
        assert_eq!(tokens(&Sampling { top_p: 0.9, ..all }), [1, 3, 2]);
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let sampling = Sampling { temperature: 2.0, ..Sampling::default() };
        let draw = |seed| -> Vec<u32> {
            let mut sampler = TokenSampler::new(sampling.clone(), seed);
            (0..20_000).map(|_| sampler.next(&LOGITS)).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for (token, probability) in sampling.distribution(&LOGITS) {
            let seen = draw(3).iter().filter(|drawn| **drawn == token).count() as f64 / 20_000.0;
            // Five standard deviations of a share of 20,000 draws are at most 0.018.
            assert!((seen - probability).abs() < 0.018, "token {token}: {seen} against {probability}");
        }
    }

    #[test]
    fn impossible_parameters_are_named() {
        for sampling in [
            Sampling { temperature: -1.0, ..Sampling::default() },
            Sampling { temperature: f64::NAN, ..Sampling::default() },
            Sampling { top_p: 1.5, ..Sampling::default() },
        ] {
            assert!(sampling.validate().is_err());
        }
    }
}
