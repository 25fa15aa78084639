//! How probable a model found the tokens that were chosen.

use crate::logits::{Weights, largest};
use crate::sampler::most_probable;

/// Log-probabilities at one position, as the model gives them: before penalty, temperature and filters, like
/// those of [`score()`](crate::score()), of OpenAI's interface and of llama.cpp's server.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TokenLogprob {
    /// Natural logarithm of the chosen token's probability.
    pub logprob: f64,
    /// The most probable tokens, as many as were asked for, with the same of each.
    pub top: Vec<(u32, f64)>,
}

impl TokenLogprob {
    /// Those of `token` and of the `top` most probable ones.
    pub(crate) fn of(logits: &[f32], token: u32, top: usize) -> Self {
        let largest = largest(logits);
        let total = Weights::default().fill(logits, largest, 1.0);
        let logprob = |logit: f32| f64::from(logit) - f64::from(largest) - total.ln();
        let top = if top == 0 { Vec::new() } else { most_probable(logits, top, |_| true) };
        Self {
            logprob: logprob(logits[token as usize]),
            top: top.into_iter().map(|(token, logit)| (token, logprob(logit))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_those_of_the_softmax() {
        let logits = [0.5, -1.0, 2.0, 0.0];
        let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let found = TokenLogprob::of(&logits, 1, 2);
        assert!((found.logprob - (-1.0 - total.ln())).abs() < 1e-6, "{found:?}");
        assert_eq!(found.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [2, 0]);
        assert!((found.top[0].1 - (2.0 - total.ln())).abs() < 1e-6, "{found:?}");
        assert!(TokenLogprob::of(&logits, 1, 0).top.is_empty());
    }
}
