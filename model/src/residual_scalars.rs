//! Scalars of the residual stream: how much of it each block reads, and how much of the embedding.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::{Backend, Tap, Watch, backend};

/// Before block `l`, the stream becomes `x = λ_l x + μ_l x_0`, where `x_0` is what the first block would read without them
/// (`resid_lambdas` and `x0_lambdas` of <https://github.com/karpathy/nanochat>).
///
/// `λ` starts at 1 as there, `μ` at 0 instead of 0.1: a new model computes what it would without scalars.
#[derive(Module, Debug)]
pub struct ResidualScalars<B: Backend> {
    /// `λ`, how much of the stream each block reads.
    pub residual: Scalars<B>,
    /// `μ`, how much of the embedding.
    pub embedding: Scalars<B>,
}

/// A number for each block.
#[derive(Module, Debug)]
pub struct Scalars<B: Backend> {
    /// `[n_layers]`
    pub weight: Param<Tensor<B, 1>>,
}

impl<B: Backend> ResidualScalars<B> {
    pub(crate) fn new(n_layers: usize, device: &B::Device) -> Self {
        let scalars = |tensor| Scalars { weight: Param::from_tensor(tensor) };
        Self {
            residual: scalars(Tensor::ones([n_layers], device)),
            embedding: scalars(Tensor::zeros([n_layers], device)),
        }
    }

    /// What block number `layer` reads.
    ///
    /// # Shapes
    ///
    /// - stream, start, output: `[batch, seq, d_model]`
    pub fn blend(
        &self,
        stream: Tensor<B, 3>,
        start: Tensor<B, 3>,
        layer: usize,
        tap: &mut impl Tap<B>,
    ) -> Tensor<B, 3> {
        let [residual, embedding] =
            [&self.residual, &self.embedding].map(|scalars| scalars.weight.val().narrow(0, layer, 1)); // [1] each
        if tap.watches() == Watch::Everything {
            return stream * residual.unsqueeze() + start * embedding.unsqueeze();
        }
        backend::blend([stream, start], [residual, embedding])
    }
}
