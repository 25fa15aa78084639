//! Dropout, whose mask is a function of a seed.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Distribution, Int, Shape, Tensor, TensorMetadata};

use super::tensor::take;
use crate::backend::Saved;
use crate::backend::host::HostMemory;
use crate::backend::host::kernels;

/// Saves the mask's seed in two halves that f32 holds exactly.
pub(in crate::backend) fn dropout_forward<B: HostMemory>(
    input: FloatTensor<B>,
    probability: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let seed = B::tensor(draw_seed::<B>(&input).to_vec(), Shape::new([2]));
    (dropout_backward::<B>(vec![seed.clone()], probability, input), vec![seed])
}

/// Dropping is linear, so the backward pass does to the gradient what the forward pass did to the input.
pub(in crate::backend) fn dropout_backward<B: HostMemory>(
    saved: Saved<B>,
    probability: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let [seed] = take::<B, 1>(saved);
    let shape = gradient.shape();
    let mut values = B::into_values(gradient);
    kernels::dropout(&mut values, probability as f32, join_seed(&B::values(&seed)));
    B::tensor(values, shape)
}

/// From the backend's own generator, so that seeding the backend decides dropout too.
pub(super) fn draw_seed<B: HostMemory>(like: &FloatTensor<B>) -> [f32; 2] {
    let range = Distribution::Uniform(0.0, f64::from(1 << 24));
    let halves = Tensor::<B, 1, Int>::random([2], range, &B::float_device(like));
    let halves = B::integers(halves.into_primitive());
    [halves[0] as f32, halves[1] as f32]
}

pub(super) fn join_seed(halves: &[f32]) -> u64 {
    (halves[0] as u64) << 24 | halves[1] as u64
}
