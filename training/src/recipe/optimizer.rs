//! AdamW with the decay groups of GPT-2: matrices decay, vectors do not.

use burn::optim::SimpleOptimizer;
use burn::record::Record;
use burn::tensor::backend::Backend as BurnBackend;
use burn::tensor::{Tensor, TensorPrimitive};
use kiln_model::{AdamWStep, Backend};

/// The update of one parameter: [`Backend::adamw_step`] with this recipe (<https://arxiv.org/abs/1711.05101>).
#[derive(Clone, Debug)]
pub struct AdamW {
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled decay.
    pub weight_decay: f64,
    /// Whether tensors with one axis (biases, norms) decay too; GPT-2's recipe spares them.
    pub decay_vectors: bool,
}

/// What AdamW remembers of a parameter.
#[derive(Record, Clone)]
pub struct Moments<B: BurnBackend, const D: usize> {
    /// Running mean of the gradient, shaped like the parameter.
    pub first: Tensor<B, D>,
    /// Running mean of the squared gradient, shaped like the parameter.
    pub second: Tensor<B, D>,
    /// Updates so far.
    pub step: usize,
}

impl<B: Backend> SimpleOptimizer<B> for AdamW {
    type State<const D: usize> = Moments<B, D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<B, D>, Option<Self::State<D>>) {
        let Moments { first, second, step } = state.unwrap_or_else(|| {
            let zeros = || gradient.zeros_like();
            Moments { first: zeros(), second: zeros(), step: 0 }
        });
        let step = step + 1;
        let update = AdamWStep {
            learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: if D >= 2 || self.decay_vectors { self.weight_decay } else { 0.0 },
            step,
        };
        let unwrap = |tensor: Tensor<B, D>| tensor.into_primitive().tensor();
        let updated =
            B::adamw_step(unwrap(parameter), unwrap(gradient), unwrap(first), unwrap(second), update);
        let [parameter, first, second] =
            updated.map(|primitive| Tensor::from_primitive(TensorPrimitive::Float(primitive)));
        (parameter, Some(Moments { first, second, step }))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &B::Device) -> Self::State<D> {
        let Moments { first, second, step } = state;
        Moments { first: first.to_device(device), second: second.to_device(device), step }
    }
}
