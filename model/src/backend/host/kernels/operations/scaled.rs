//! A tensor times a number, in place: what a loss passes on to the gradients that were made with it.

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;

use super::machine::parallel::{ELEMENTWISE_BLOCK, for_each_chunk};
use super::machine::simd::{Lanes, Simd, dispatch, map};
use super::tensor::HostMemory;

pub(in crate::backend) fn scaled<B: HostMemory>(
    tensor: FloatTensor<B>,
    factor: FloatTensor<B>,
) -> FloatTensor<B> {
    let factor = B::values(&factor)[0];
    if factor == 1.0 {
        return tensor;
    }
    let shape = tensor.shape();
    let mut values = B::into_values(tensor);
    let work = values.len();
    for_each_chunk(&mut values, ELEMENTWISE_BLOCK, work, |_, values| dispatch!(scale_block(values, factor)));
    B::tensor(values, shape)
}

#[inline(always)]
fn scale_block<S: Simd>(simd: S, values: &mut [f32], factor: f32) {
    let factor = Lanes::splat(simd, factor);
    map(
        simd,
        values,
        #[inline(always)]
        |x| x * factor,
    );
}
