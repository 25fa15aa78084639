//! Dropout, as training applies it to attention weights.

use kiln_model::{Backend, Site};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::matrix::Matrix;
use super::pass::Pass;

/// The probability that is shown for a model that trains without dropout: GPT-2's.
const GPT2: f64 = 0.1;

/// Each weight is dropped with probability `p`, and what is left is divided by `1 - p`, so that the mean stays.
#[derive(Clone, Debug, Serialize)]
pub struct DropoutPanel {
    /// What the model's configuration says.
    pub configured: f64,
    /// `p` of this panel: the model's, or 0.1 where it has none.
    pub probability: f64,
    /// What the kept weights are multiplied by, `1 / (1 - p)`.
    pub factor: f64,
    /// Where the mask was drawn from.
    pub seed: u64,
    /// Block and head whose weights these are.
    pub layer: usize,
    /// See `layer`.
    pub head: usize,
    /// Which are kept, `[query, key]`: 1 or 0.
    pub keep: Matrix,
    /// The weights after dropout, `[query, key]`.
    pub after: Matrix,
    /// Share of the mask that is kept.
    pub kept: f64,
    /// Sum of each row before, which is 1, and after.
    pub row_sums: Vec<f32>,
}

impl DropoutPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>, layer: usize, head: usize) -> Self {
        let pattern = pass.head_values(Site::Pattern(layer), head);
        let configured = pass.config().dropout;
        let probability = if configured > 0.0 { configured } else { GPT2 };
        Self { configured, layer, head, ..Self::drop(&pattern, probability, 123) }
    }

    /// Drops numbers with this probability.
    pub fn drop(values: &Matrix, probability: f64, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut draw = |_: &f32| f32::from(rng.random::<f64>() >= probability);
        let keep: Vec<f32> = values.values().iter().map(&mut draw).collect();
        let factor = 1.0 / (1.0 - probability);
        let after = values.values().iter().zip(&keep).map(|(value, keep)| value * keep * factor as f32);
        let after = Matrix::new(values.columns(), after.collect());
        let kept = keep.iter().map(|keep| f64::from(*keep)).sum::<f64>() / keep.len().max(1) as f64;
        Self {
            configured: probability,
            probability,
            factor,
            seed,
            layer: 0,
            head: 0,
            keep: Matrix::new(values.columns(), keep),
            row_sums: after.rows().map(|row| row.iter().sum()).collect(),
            after,
            kept,
        }
    }
}
