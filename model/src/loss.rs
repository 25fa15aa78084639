//! Cross-entropy: how surprised a model is by what really comes next.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

use crate::Backend;

/// The mean of `-ln softmax(logits)[target]` over the targets that are not negative; 0 where all are.
///
/// This is the formula; [`GptModel::loss`](crate::GptModel::loss) computes it together with the head, without ever holding all
/// logits. Its own gradient is exact; that of this formula has 12 bits on burn-ndarray 0.21, whose reciprocals do.
///
/// # Shapes
///
/// - logits: `[batch, seq, vocab]`
/// - targets: `[batch, seq]`
/// - output: `[1]`
pub fn cross_entropy<B: Backend>(logits: Tensor<B, 3>, targets: Tensor<B, 2, Int>) -> Tensor<B, 1> {
    let counted = targets.clone().greater_equal_elem(0).float(); // [batch, seq]
    let log_probabilities = log_softmax(logits, 2); // [batch, seq, vocab]
    let chosen = log_probabilities.gather(2, targets.clamp_min(0).unsqueeze_dim(2)); // [batch, seq, 1]
    let losses = chosen.squeeze_dim::<2>(2).neg() * counted.clone(); // [batch, seq]
    losses.sum() / counted.sum().clamp_min(1.0)
}

/// The mean over the counted targets of several batches, each of which knows the mean over its own: targets that are
/// ignored (negative ones) have no weight.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanLoss {
    sum: f64,
    targets: usize,
}

impl MeanLoss {
    /// Adds a batch with this mean loss over `targets` counted targets.
    pub fn add(&mut self, mean: f64, targets: usize) {
        self.sum += mean * targets as f64;
        self.targets += targets;
    }

    /// Mean over all counted targets; NaN where there are none.
    pub fn mean(&self) -> f64 {
        self.sum / self.targets as f64
    }

    /// Counted targets so far.
    pub fn targets(&self) -> usize {
        self.targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_weigh_by_their_counted_targets() {
        let mut loss = MeanLoss::default();
        assert!(loss.mean().is_nan());
        for (mean, targets) in [(1.0, 3), (5.0, 1), (7.0, 0)] {
            loss.add(mean, targets);
        }
        assert_eq!((loss.mean(), loss.targets()), (2.0, 4));
    }
}
