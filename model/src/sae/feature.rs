//! One feature of an autoencoder, without the others.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::Backend;

/// All that it takes to read one feature of a vector, and to write it:
/// `f = relu(x · encoder + bias)` where that is above `threshold`, else 0; `x + δ · direction` is a vector whose feature is
/// changed by `δ`, and whose share that no feature explains stays as it is.
#[derive(Clone, Debug)]
pub struct Feature<B: Backend> {
    /// Its row of the decoder, `[d_in]`.
    pub direction: Tensor<B, 1>,
    /// Its column of the encoder, `[d_in]`.
    pub encoder: Tensor<B, 1>,
    /// What the encoder adds, less what it reads of the decoder's bias.
    pub bias: f32,
    /// What it has to exceed.
    pub threshold: f32,
}

impl<B: Backend> Feature<B> {
    /// How active the feature is at each position.
    ///
    /// # Shapes
    ///
    /// - stream: `[batch, seq, d_in]`
    /// - output: `[batch, seq, 1]`
    pub fn activation(&self, stream: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, seq, d_in] = stream.dims();
        let encoder = self.encoder.clone().reshape([d_in, 1]);
        let pre = stream.reshape([batch * seq, d_in]).matmul(encoder) + self.bias; // [batch · seq, 1]
        let active = pre.clone().greater_elem(self.threshold).float();
        (relu(pre) * active).reshape([batch, seq, 1])
    }
}
