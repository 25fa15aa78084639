//! Muon (<https://kellerjordan.github.io/posts/muon/>), at a learning rate that follows AdamW's.

use burn::tensor::Tensor;
use kiln_model::{Backend, MuonStep};

use super::rule::{Moments, from_primitive, primitive};
use crate::OptimizerConfig;

/// Muon of one matrix, or of several side by side.
#[derive(Clone, Debug)]
pub struct Muon {
    /// Muon's learning rate, in learning rates of AdamW.
    rate: f64,
    momentum: f64,
    weight_decay: f64,
    /// Widths of the maps that lie side by side in the matrix.
    parts: Vec<usize>,
}

impl Muon {
    pub(super) fn new(config: &OptimizerConfig, decays: bool, parts: Vec<usize>) -> Self {
        Self {
            rate: config.muon_learning_rate / config.learning_rate,
            momentum: config.muon_momentum,
            weight_decay: if decays { config.weight_decay } else { 0.0 },
            parts,
        }
    }

    /// One update, [`Backend::muon_step`], at a learning rate that follows AdamW's.
    pub(super) fn step<B: Backend, const D: usize>(
        &self,
        learning_rate: f64,
        gradient_scale: f64,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        moments: Option<Moments<B, D>>,
    ) -> (Tensor<B, D>, Moments<B, D>) {
        let Moments { first, step, .. } = moments.unwrap_or_else(|| Moments::zero(&gradient));
        let update = MuonStep {
            learning_rate: learning_rate * self.rate,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            gradient_scale,
            parts: &self.parts,
        };
        let [parameter, gradient, first] = [parameter, gradient, first].map(primitive);
        let [parameter, first] = B::muon_step(parameter, gradient, first, update).map(from_primitive);
        (parameter, Moments { first, second: None, step: step + 1 })
    }
}
