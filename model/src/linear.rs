//! The affine map `y = x W + b`, the workhorse of every layer.

use burn::module::{Module, Param};
use burn::tensor::{DType, Distribution, ElementRandom, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::allocation::vec_with_capacity;
use crate::{Activation, Backend, Lora, backend, lora};

/// `y = x W + b`, with `W` stored as `[d_in, d_out]` (GPT-2's `Conv1D` layout), plus what adapters add.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// `[d_in, d_out]`
    pub weight: Param<Tensor<B, 2>>,
    /// `[d_out]`
    pub bias: Option<Param<Tensor<B, 1>>>,
    /// Adapters of parts of the output, from the first column on; none where nothing is adapted.
    pub lora: Option<Vec<Lora<B>>>,
}

impl<B: Backend> Linear<B> {
    /// `scale` multiplies the standard deviation of the initial weights; the bias starts at zero.
    pub(crate) fn new(
        [d_in, d_out]: [usize; 2],
        bias: bool,
        scale: f64,
        initializer: &mut Initializer,
        device: &B::Device,
    ) -> Self {
        Self {
            weight: initializer.matrix([d_in, d_out], scale, device),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([d_out], device))),
            lora: None,
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, seq, d_in]`
    /// - output: `[batch, seq, d_out]`
    pub fn forward(&self, input: Tensor<B, 3>) -> Tensor<B, 3> {
        let Some(adapters) = &self.lora else { return self.unadapted(input, None) };
        let added = lora::added(adapters, input.clone(), self.weight.dims()[1]); // [batch, seq, d_out]
        self.unadapted(input, None) + added
    }

    /// [`forward`](Self::forward) followed by a nonlinearity, in one pass where the backend has one.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_in]`
    /// - output: `[batch, seq, d_out]`
    pub fn forward_activated(&self, input: Tensor<B, 3>, activation: Activation) -> Tensor<B, 3> {
        if self.lora.is_none() {
            return self.unadapted(input, Some(activation));
        }
        let output = self.forward(input);
        // A gate of ones is the nonlinearity alone.
        let ones = output.ones_like();
        backend::gate(output, ones, activation)
    }

    fn unadapted(&self, input: Tensor<B, 3>, activation: Option<Activation>) -> Tensor<B, 3> {
        backend::linear(input, self.weight.val(), self.bias.as_ref().map(Param::val), activation)
    }
}

/// Where the initial weights of a new model come from.
pub(crate) enum Initializer {
    /// Normal numbers drawn on the host, so that a seed means the same model on every backend.
    Normal {
        /// The stream that all parameters draw from, in the order of their creation.
        rng: Box<StdRng>,
        /// Standard deviation.
        std: f64,
    },
    /// Nowhere: every weight is about to be replaced by one from a file, and costs nothing until then.
    Absent,
}

impl Initializer {
    pub(crate) fn normal(seed: u64, std: f64) -> Self {
        Self::Normal { rng: Box::new(StdRng::seed_from_u64(seed)), std }
    }

    /// A matrix drawn from `N(0, (scale · std)²)`.
    pub(crate) fn matrix<B: Backend>(
        &mut self,
        shape: [usize; 2],
        scale: f64,
        device: &B::Device,
    ) -> Param<Tensor<B, 2>> {
        match self {
            Self::Normal { rng, std } => {
                let distribution = Distribution::Normal(0.0, *std * scale);
                let len = shape.iter().product();
                let mut values = vec_with_capacity(len);
                values.extend((0..len).map(|_| f32::random(distribution, &mut **rng)));
                Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), (device, DType::F32)))
            }
            Self::Absent => burn::module::Initializer::Zeros.init(shape, device),
        }
    }
}
