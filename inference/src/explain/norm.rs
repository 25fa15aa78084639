//! A norm, step by step: mean, variance, division, scale and offset.

use kiln_model::{Backend, NormKind, NormSite, Site};
use serde::Serialize;

use super::matrix::{mean, variance};
use super::pass::Pass;
use crate::tokens::to_vec;

/// The norm before the attention of one block: layer norm, `y = (x - μ) / √(σ² + ε) · γ + β`, or RMS norm,
/// `y = x / √(mean(x²) + ε) · γ`.
#[derive(Clone, Debug, Serialize)]
pub struct NormPanel {
    /// Name of the place.
    pub site: String,
    /// `"LayerNorm"` or `"RmsNorm"`.
    pub kind: &'static str,
    /// Block.
    pub layer: usize,
    /// Position whose vectors are shown.
    pub position: usize,
    /// `ε`
    pub epsilon: f64,
    /// `x`, `[d_model]`.
    pub before: Vec<f32>,
    /// `(x - μ) / √(σ² + ε)`, or without `μ` in an RMS norm.
    pub normalized: Vec<f32>,
    /// `γ`
    pub weight: Vec<f32>,
    /// `β`; an RMS norm has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<Vec<f32>>,
    /// `y`
    pub after: Vec<f32>,
    /// What the norm sees at each position.
    pub positions: Vec<NormRow>,
}

/// What a norm sees of one vector, and what it makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NormRow {
    /// `μ`, the mean of the features; an RMS norm does not look at it.
    pub mean: f32,
    /// What stands under the root: `σ²`, the biased variance, or the mean square in an RMS norm.
    pub variance: f32,
    /// `√(variance + ε)`, which it divides by.
    pub divisor: f32,
    /// Mean after dividing.
    pub normalized_mean: f32,
    /// Variance after dividing.
    pub normalized_variance: f32,
}

impl NormRow {
    /// What a norm of this kind makes of a vector, before `γ` and `β`.
    pub fn of(vector: &[f32], kind: NormKind, epsilon: f64) -> (Self, Vec<f32>) {
        let mean = mean(vector);
        let variance = match kind {
            NormKind::LayerNorm => variance(vector),
            NormKind::RmsNorm => self::mean(&vector.iter().map(|x| x * x).collect::<Vec<f32>>()),
        };
        let divisor = (f64::from(variance) + epsilon).sqrt() as f32;
        let centre = if kind == NormKind::LayerNorm { mean } else { 0.0 };
        let normalized: Vec<f32> = vector.iter().map(|x| (x - centre) / divisor).collect();
        let row = Self {
            mean,
            variance,
            divisor,
            normalized_mean: self::mean(&normalized),
            normalized_variance: self::variance(&normalized),
        };
        (row, normalized)
    }
}

impl NormPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>, layer: usize, position: usize) -> Self {
        let (kind, epsilon) = (pass.config().norm, pass.config().norm_epsilon);
        let norm = &pass.model.h[layer].ln_1;
        let weight = to_vec(norm.weight.val());
        let bias = norm.bias.as_ref().map(|bias| to_vec(bias.val()));
        let input = pass.values(Site::ResidPre(layer));
        let (_, normalized) = NormRow::of(input.row(position), kind, epsilon);
        let offset = |feature| bias.as_ref().map_or(0.0, |bias: &Vec<f32>| bias[feature]);
        let features = normalized.iter().zip(&weight).enumerate();
        let after = features.map(|(feature, (x, weight))| x * weight + offset(feature)).collect();
        Self {
            site: NormSite::Ln1(layer).to_string(),
            kind: match kind {
                NormKind::LayerNorm => "LayerNorm",
                NormKind::RmsNorm => "RmsNorm",
            },
            layer,
            position,
            epsilon,
            before: input.row(position).to_vec(),
            normalized,
            weight,
            after,
            bias,
            positions: input.rows().map(|row| NormRow::of(row, kind, epsilon).0).collect(),
        }
    }
}
