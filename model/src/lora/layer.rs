//! The adapter of one linear map.

use burn::module::{Module, Param};
use burn::tensor::{DType, Distribution, ElementRandom, Tensor, TensorData};
use rand::rngs::StdRng;

use super::config::Adapted;
use crate::{Backend, backend};

/// `y += scale · dropout(x) A B`, with `scale = alpha / rank`: beside a matrix `W` that stays, `A B` is a change of it whose
/// rank is small (<https://arxiv.org/abs/2106.09685>).
///
/// As in PEFT, `A` starts as uniform numbers within `±1 / √d_in` and `B` as zeros, so that a new adapter changes nothing.
#[derive(Module, Debug)]
pub struct Lora<B: Backend> {
    /// `[d_in, rank]`
    pub a: Param<Tensor<B, 2>>,
    /// `[rank, d_out]`
    pub b: Param<Tensor<B, 2>>,
    scale: f64,
    dropout: f64,
    first_column: usize,
}

impl<B: Backend> Lora<B> {
    /// A new adapter of this map.
    pub(super) fn new(adapted: &Adapted, dropout: f64, rng: &mut StdRng, device: &B::Device) -> Self {
        let [d_in, d_out] = [adapted.map.d_in, adapted.map.d_out];
        let bound = (d_in as f64).powf(-0.5);
        let distribution = Distribution::Uniform(-bound, bound);
        let drawn = (0..d_in * adapted.rank).map(|_| f32::random(distribution, rng)).collect();
        let zeros = vec![0.0; adapted.rank * d_out];
        Self::of(adapted, dropout, drawn, zeros, device)
    }

    /// The adapter with these values of `A` and `B`, row by row.
    pub(crate) fn of(adapted: &Adapted, dropout: f64, a: Vec<f32>, b: Vec<f32>, device: &B::Device) -> Self {
        let Adapted { map, rank, scale } = adapted;
        let matrix = |values, shape: [usize; 2]| {
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), (device, DType::F32)))
        };
        Self {
            a: matrix(a, [map.d_in, *rank]),
            b: matrix(b, [*rank, map.d_out]),
            scale: *scale,
            dropout,
            first_column: map.first_column,
        }
    }

    /// What the adapter adds to the part of the output that it adapts.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_in]`
    /// - output: `[batch, seq, d_out]`
    pub fn forward(&self, input: Tensor<B, 3>) -> Tensor<B, 3> {
        let input = backend::dropout(input, self.dropout);
        let low = backend::linear(input, self.a.val(), None, None) * self.scale; // [batch, seq, rank]
        backend::linear(low, self.b.val(), None, None)
    }

    /// The first column of the layer's output that it adapts.
    pub(super) fn first_column(&self) -> usize {
        self.first_column
    }

    /// `scale · A B`, the change of the matrix: `[d_in, d_out]`.
    pub(super) fn change(&self) -> Tensor<B, 2> {
        backend::matmul(self.a.val(), self.b.val()) * self.scale
    }
}

/// What adapters of parts of an output add to it; they stand in the order of their columns.
///
/// # Shapes
///
/// - input: `[batch, seq, d_in]`
/// - output: `[batch, seq, width]`
pub(crate) fn added<B: Backend>(adapters: &[Lora<B>], input: Tensor<B, 3>, width: usize) -> Tensor<B, 3> {
    let [batch, seq, _] = input.dims();
    let zeros = |columns| Tensor::zeros([batch, seq, columns], (&input.device(), input.dtype()));
    let (mut parts, mut end) = (Vec::new(), 0);
    for adapter in adapters {
        if adapter.first_column > end {
            parts.push(zeros(adapter.first_column - end));
        }
        parts.push(adapter.forward(input.clone()));
        end = adapter.first_column + adapter.b.dims()[1];
    }
    if end < width {
        parts.push(zeros(width - end));
    }
    if parts.len() == 1 { parts.swap_remove(0) } else { Tensor::cat(parts, 2) }
}
