//! Choosing the next token from logits.

use std::collections::{HashMap, HashSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::Sampling;
use crate::logits::{Weights, argmax, largest};

/// Draws tokens; a pure function of its seed and of the logits and tokens that it is shown.
///
/// Nothing sorts the vocabulary: a draw passes over the tokens in the order of their ids. Only what top-k, top-p
/// or min-p leave is ranked.
#[derive(Debug)]
pub struct TokenSampler {
    sampling: Sampling,
    rng: StdRng,
    /// Tokens that occurred, as far as `repeat_penalty` looks at them.
    history: Vec<u32>,
    /// How often each token was generated, where a penalty asks for it.
    counts: HashMap<u32, u32>,
    /// Logits after bias and penalties.
    changed: Vec<f32>,
    weights: Weights,
}

impl TokenSampler {
    /// A sampler that draws from `seed`.
    pub fn new(sampling: Sampling, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let (history, counts, changed) = (Vec::new(), HashMap::new(), Vec::new());
        Self { sampling, rng, history, counts, changed, weights: Weights::default() }
    }

    /// Tells of the tokens of the prompt.
    pub fn observe_prompt(&mut self, tokens: &[u32]) {
        if self.sampling.repeat_penalty == 1.0 {
            return;
        }
        self.history.extend(tokens);
        let most = self.sampling.repeat_last_n;
        // Twice as many may wait, so that they are not moved each time.
        if self.history.len() > most.saturating_mul(2) {
            self.history.drain(..self.history.len() - most);
        }
    }

    /// Tells of a token that was chosen.
    pub fn observe(&mut self, token: u32) {
        self.observe_prompt(&[token]);
        if self.sampling.counts() {
            *self.counts.entry(token).or_default() += 1;
        }
    }

    /// The next token, given one logit for each token of the vocabulary.
    ///
    /// # Panics
    ///
    /// If `logits` is empty.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        assert!(!logits.is_empty(), "a vocabulary has at least one token");
        if !self.sampling.changes_logits() {
            return self.choose(logits);
        }
        let mut changed = std::mem::take(&mut self.changed);
        changed.clear();
        changed.extend(logits);
        self.change(&mut changed);
        let token = self.choose(&changed);
        self.changed = changed;
        token
    }

    /// Adds the bias and applies the penalties.
    fn change(&self, logits: &mut [f32]) {
        let Sampling {
            repeat_penalty, repeat_last_n, frequency_penalty, presence_penalty, logit_bias, ..
        } = &self.sampling;
        for (token, bias) in logit_bias {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit += bias;
            }
        }
        if *repeat_penalty != 1.0 {
            let start = self.history.len().saturating_sub(*repeat_last_n);
            let occurred: HashSet<u32> = self.history[start..].iter().copied().collect();
            for token in occurred {
                if let Some(logit) = logits.get_mut(token as usize) {
                    let penalty = *repeat_penalty as f32;
                    *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
                }
            }
        }
        for (token, count) in &self.counts {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit -= (frequency_penalty * f64::from(*count) + presence_penalty) as f32;
            }
        }
    }

    fn choose(&mut self, logits: &[f32]) -> u32 {
        let temperature = self.sampling.temperature;
        if temperature == 0.0 {
            return argmax(logits);
        }
        if !self.sampling.filters() {
            let total = self.weights.fill(logits, largest(logits), temperature);
            return self.weights.token_at(self.rng.random::<f64>() * total);
        }
        let ranked = self.ranked(logits);
        let mut left: f64 = self.rng.random();
        for (token, probability) in &ranked {
            left -= probability;
            if left < 0.0 {
                return *token;
            }
        }
        // Rounding may leave a sliver of probability behind.
        ranked[ranked.len() - 1].0
    }

    /// Tokens that the filters leave, most probable first, with their probabilities. Equal logits keep the order
    /// of their ids.
    fn ranked(&mut self, logits: &[f32]) -> Vec<(u32, f64)> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.sampling;
        let largest = largest(logits);
        let mut total = None;
        let mut ranked = if top_k > 0 {
            most_probable(logits, top_k, |_| true)
        } else {
            let sum = self.weights.fill(logits, largest, temperature);
            total = Some(sum);
            // Tokens below this, even all of them together, lie beyond what top-p keeps. It errs to the lower side.
            let beyond = (1.0 - top_p) * sum / logits.len() as f64;
            let least = (beyond.max(min_p) * 0.999) as f32;
            most_probable(logits, logits.len(), |token| self.weights.of(token) >= least)
        };
        let weight = |logit: f32| ((f64::from(logit) - f64::from(largest)) / temperature).exp();
        let total = total.unwrap_or_else(|| ranked.iter().map(|(_, logit)| weight(*logit)).sum());
        let most = if top_p < 1.0 { top_p * total } else { f64::INFINITY };
        let mut reached = 0.0;
        let kept = ranked.iter().take_while(|(_, logit)| {
            let wanted = reached < most && weight(*logit) >= min_p;
            reached += weight(*logit);
            wanted
        });
        let kept = kept.count().max(1);
        ranked.truncate(kept);
        let total: f64 = ranked.iter().map(|(_, logit)| weight(*logit)).sum();
        ranked.into_iter().map(|(token, logit)| (token, weight(logit) / total)).collect()
    }
}

/// The `count` most probable tokens that are `wanted`, in order, with their logits; at least one. Equal logits
/// keep the order of their ids.
pub(crate) fn most_probable(logits: &[f32], count: usize, wanted: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
    let descending = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let most = count.saturating_mul(2).max(128);
    let (mut found, mut least): (Vec<(u32, f32)>, f32) = (Vec::new(), f32::NEG_INFINITY);
    for (token, logit) in (0..).zip(logits) {
        if *logit < least || *logit == f32::NEG_INFINITY || !wanted(token) {
            continue;
        }
        found.push((token, *logit));
        if found.len() == most {
            let (_, last, _) = found.select_nth_unstable_by(count - 1, descending);
            least = last.1;
            found.truncate(count);
        }
    }
    found.sort_unstable_by(descending);
    found.truncate(count);
    if found.is_empty() {
        let token = argmax(logits);
        found.push((token, logits[token as usize]));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 3.0, 1.0, 2.0, -1.0];
    const ALL: Sampling = {
        let mut sampling = Sampling::GREEDY;
        sampling.temperature = 1.0;
        sampling
    };

    fn tokens(sampling: &Sampling) -> Vec<u32> {
        let mut sampler = TokenSampler::new(sampling.clone(), 0);
        sampler.ranked(&LOGITS).into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn temperature_zero_takes_the_largest_whatever_the_seed() {
        for seed in 0..20 {
            assert_eq!(TokenSampler::new(Sampling::GREEDY, seed).next(&LOGITS), 1);
        }
    }

    #[test]
    fn filters_keep_what_they_say() {
        assert_eq!(tokens(&ALL), [1, 3, 2, 0, 4]);
        assert_eq!(tokens(&Sampling { top_k: 2, ..ALL }), [1, 3]);
        assert_eq!(tokens(&Sampling { top_k: 9, ..ALL }), [1, 3, 2, 0, 4]);
        assert_eq!(tokens(&Sampling { top_p: 0.0, ..ALL }), [1]);
        // Probabilities are 0.636, 0.234, 0.086, 0.032, 0.012.
        assert_eq!(tokens(&Sampling { top_p: 0.8, ..ALL }), [1, 3]);
        assert_eq!(tokens(&Sampling { top_p: 0.9, ..ALL }), [1, 3, 2]);
        // Shares of the most probable one are 1, 0.368, 0.135, 0.050, 0.018.
        assert_eq!(tokens(&Sampling { min_p: 0.2, ..ALL }), [1, 3]);
        assert_eq!(tokens(&Sampling { min_p: 0.04, ..ALL }), [1, 3, 2, 0]);
        assert_eq!(tokens(&Sampling { min_p: 1.0, ..ALL }), [1]);
        assert_eq!(tokens(&Sampling { min_p: 0.04, top_k: 3, ..ALL }), [1, 3, 2]);
        // Temperature comes first: at 2 the shares are 1, 0.61, 0.37, 0.22, 0.14.
        assert_eq!(tokens(&Sampling { min_p: 0.2, temperature: 2.0, ..ALL }), [1, 3, 2, 0]);
    }

    /// Against sorting everything, on a vocabulary that is many times what is kept.
    #[test]
    fn a_large_vocabulary_is_filtered_as_if_it_were_sorted() {
        let logits: Vec<f32> = (0..5000u64).map(|id| (id * 7919 % 4001) as f32 / 300.0).collect();
        let mut sorted: Vec<u32> = (0..5000).collect();
        sorted.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
        let exact: Vec<f64> = sorted.iter().map(|id| f64::from(logits[*id as usize]).exp()).collect();
        let total: f64 = exact.iter().sum();
        for (sampling, kept) in [
            (Sampling { top_k: 40, ..ALL }, 40),
            (Sampling { top_k: 3000, ..ALL }, 3000),
            (Sampling { min_p: 0.01, ..ALL }, exact.iter().filter(|w| **w >= 0.01 * exact[0]).count()),
            (Sampling { top_p: 0.9, ..ALL }, {
                let mut reached = 0.0;
                exact.iter().take_while(|w| (reached < 0.9 * total, reached += **w).0).count()
            }),
        ] {
            let mut sampler = TokenSampler::new(sampling.clone(), 0);
            let ranked: Vec<u32> = sampler.ranked(&logits).into_iter().map(|(token, _)| token).collect();
            assert_eq!(ranked, sorted[..kept], "{sampling:?}");
        }
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        for filtered in [false, true] {
            let top_k = if filtered { 4 } else { 0 };
            let sampling = Sampling { temperature: 2.0, top_k, ..Sampling::default() };
            let draw = |seed| -> Vec<u32> {
                let mut sampler = TokenSampler::new(sampling.clone(), seed);
                (0..20_000).map(|_| sampler.next(&LOGITS)).collect()
            };
            assert_eq!(draw(1), draw(1));
            assert_ne!(draw(1), draw(2));
            for (token, probability) in TokenSampler::new(sampling.clone(), 0).ranked(&LOGITS) {
                let seen = draw(3).iter().filter(|drawn| **drawn == token).count() as f64 / 20_000.0;
                // Five standard deviations of a share of 20,000 draws are at most 0.018.
                assert!((seen - probability).abs() < 0.018, "token {token}: {seen} against {probability}");
            }
        }
    }

    #[test]
    fn what_occurred_is_penalised_as_far_back_as_was_asked() {
        let next = |repeat_last_n, history: &[u32]| {
            let sampling = Sampling { repeat_penalty: 4.0, repeat_last_n, ..Sampling::GREEDY };
            let mut sampler = TokenSampler::new(sampling, 0);
            history.iter().for_each(|token| sampler.observe(*token));
            sampler.next(&LOGITS)
        };
        assert_eq!(next(64, &[]), 1);
        // 3 / 4 is less than 2; once only, however often it occurred.
        assert_eq!(next(64, &[1, 1, 1]), 3);
        assert_eq!(next(64, &[1, 3]), 2);
        assert_eq!(next(64, &[1, 3, 2]), 1);
        assert_eq!(next(2, &[1, 3, 2]), 1);
        assert_eq!(next(2, &[1, 2, 0, 4]), 1);
        assert_eq!(next(0, &[1]), 1);
        let all: Vec<u32> = std::iter::once(1).chain(std::iter::repeat_n(4, 500)).collect();
        assert_eq!((next(usize::MAX, &all), next(64, &all)), (3, 1));
        // A negative logit becomes more negative.
        let mut sampler = TokenSampler::new(Sampling { repeat_penalty: 4.0, ..Sampling::GREEDY }, 0);
        sampler.observe(0);
        assert_eq!(sampler.next(&[-1.0, -2.0]), 1);
    }

    /// Logits are 0, 3, 1, 2 and -1.
    #[test]
    fn what_was_generated_is_penalised_by_its_count_and_the_prompt_is_not() {
        let next = |sampling: Sampling, prompt: &[u32], generated: &[u32]| {
            let mut sampler = TokenSampler::new(sampling, 0);
            sampler.observe_prompt(prompt);
            generated.iter().for_each(|token| sampler.observe(*token));
            sampler.next(&LOGITS)
        };
        let frequency = Sampling { frequency_penalty: 0.4, ..Sampling::GREEDY };
        assert_eq!(next(frequency.clone(), &[1, 1, 1], &[1, 1]), 1);
        assert_eq!(next(frequency, &[], &[1, 1, 1]), 3);
        let presence = Sampling { presence_penalty: 0.8, ..Sampling::GREEDY };
        assert_eq!(next(presence.clone(), &[], &[1, 1, 1, 1]), 1);
        assert_eq!(next(Sampling { presence_penalty: 1.2, ..presence }, &[], &[1]), 3);
        let biased = |bias| Sampling { logit_bias: bias, ..Sampling::GREEDY };
        assert_eq!(next(biased(vec![(4, 4.5), (99, 50.0)]), &[], &[]), 4);
        assert_eq!(next(biased(vec![(1, -100.0)]), &[], &[]), 3);
    }
}
