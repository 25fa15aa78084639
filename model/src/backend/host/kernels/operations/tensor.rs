//! What every operation needs: sizes of tensors, and buffers for results.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Shape, TensorMetadata};

use crate::allocation::vec_with_capacity;
use crate::backend::Saved;
pub(super) use crate::backend::host::memory::HostMemory;

/// Whether the kernels can take this tensor: they compute in f32.
pub(in crate::backend) fn applies<B: HostMemory>(tensor: &FloatTensor<B>) -> bool {
    tensor.dtype() == DType::F32
}

/// A buffer for a kernel to fill, of unspecified content: to zero what is about to be overwritten would cost
/// up to a twentieth of a training step. In debug builds it holds NaN, so a kernel that reads what it did not
/// write fails.
pub(super) fn buffer(len: usize) -> Vec<f32> {
    if cfg!(debug_assertions) {
        return vec![f32::NAN; len];
    }
    let mut values = vec_with_capacity(len);
    // SAFETY: the capacity was just reserved and any bits are an f32; every operation hands its buffer to a
    // kernel that writes all of it before anything reads it, which debug builds check.
    #[allow(unsafe_code, clippy::uninit_vec)]
    unsafe {
        values.set_len(len);
    }
    values
}

/// Number of rows when every axis but the last becomes one, and the last.
pub(super) fn rows(shape: &Shape) -> (usize, usize) {
    let last = shape[shape.num_dims() - 1];
    (shape.num_elements() / last, last)
}

pub(super) fn with_last(shape: &Shape, last: usize) -> Shape {
    let mut shape = shape.clone();
    let axes = shape.num_dims();
    shape[axes - 1] = last;
    shape
}

pub(super) fn take<B: HostMemory, const N: usize>(saved: Saved<B>) -> [FloatTensor<B>; N] {
    <[_; N]>::try_from(saved).expect("the backward pass gets what its forward pass saved")
}
