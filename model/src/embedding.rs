//! Token and position embeddings: the table that turns an id into a vector.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use crate::linear::Initializer;
use crate::{Backend, backend};

/// A table with one learned vector per id; looking up a row is all it does.
///
/// GPT-2 has two: `wte` for tokens and `wpe` for positions. Their sum is what the first block sees.
#[derive(Module, Debug)]
pub struct Embedding<B: Backend> {
    /// `[ids, d_model]`
    pub weight: Param<Tensor<B, 2>>,
}

impl<B: Backend> Embedding<B> {
    /// `scale` multiplies the standard deviation of the initial vectors.
    pub(crate) fn new(
        [ids, d_model]: [usize; 2],
        scale: f64,
        initializer: &mut Initializer,
        device: &B::Device,
    ) -> Self {
        Self { weight: initializer.matrix([ids, d_model], scale, device) }
    }

    /// Looks up the vector of each id.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, seq]`
    /// - output: `[batch, seq, d_model]`
    pub fn forward(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
        backend::embedding(self.weight.val(), ids)
    }
}
