//! AdamW: momentum, a scale for each number, and decay that does not pass through them
//! (<https://arxiv.org/abs/1711.05101>).

use burn::tensor::Tensor;
use kiln_model::{AdamWStep, Backend};

use super::rule::{Moments, from_primitive, primitive};
use crate::OptimizerConfig;

/// AdamW of one parameter.
#[derive(Clone, Debug)]
pub struct AdamW {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
}

impl AdamW {
    pub(super) fn new(config: &OptimizerConfig, decays: bool) -> Self {
        let OptimizerConfig { beta1, beta2, epsilon, weight_decay, .. } = *config;
        Self { beta1, beta2, epsilon, weight_decay: if decays { weight_decay } else { 0.0 } }
    }

    /// One update: [`Backend::adamw_step`].
    pub(super) fn step<B: Backend, const D: usize>(
        &self,
        learning_rate: f64,
        gradient_scale: f64,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        moments: Option<Moments<B, D>>,
    ) -> (Tensor<B, D>, Moments<B, D>) {
        let Moments { first, second, step } = moments.unwrap_or_else(|| Moments::zero(&gradient));
        let second = second.unwrap_or_else(|| gradient.zeros_like());
        let step = step + 1;
        let Self { beta1, beta2, epsilon, weight_decay } = *self;
        let update = AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, step };
        let [parameter, gradient, first, second] = [parameter, gradient, first, second].map(primitive);
        let updated = B::adamw_step(parameter, gradient, first, second, update);
        let [parameter, first, second] = updated.map(from_primitive);
        (parameter, Moments { first, second: Some(second), step })
    }
}
