//! The Burn backends that Kiln is built for, each behind the Cargo feature of its name.

#![allow(unused_imports, reason = "a build may enable any subset of the backends, even none")]

use burn::tensor::ops::{FloatTensor, IntTensor};

#[cfg(feature = "host")]
use super::delegate::delegate;
#[cfg(any(feature = "ndarray", feature = "flex"))]
use super::host::operations::{self as host, host_operations};
#[cfg(feature = "tch")]
use super::libtorch::{self, libtorch_operations};
use super::{
    AdamWStep, AffineGradients, Backend, HeadGradients, Heads, MuonStep, PackedWeight, Saved, Wanted,
    portable,
};
use crate::kv_cache::CachedSequence;
use crate::precision::{Channels, Precision};
use crate::{Activation, ComputePrecision};

#[cfg(feature = "ndarray")]
impl<E: burn_ndarray::FloatNdArrayElement, I: burn_ndarray::IntNdArrayElement> Backend
    for burn_ndarray::NdArray<E, I>
where
    burn_ndarray::NdArrayTensor: From<burn_ndarray::SharedArray<E>> + From<burn_ndarray::SharedArray<I>>,
{
    host_operations!();
}

#[cfg(feature = "flex")]
impl Backend for burn_flex::Flex {
    host_operations!();
}

#[cfg(feature = "tch")]
impl<E: burn_tch::TchElement> Backend for burn_tch::LibTorch<E> {
    libtorch_operations!();
}

#[cfg(feature = "wgpu")]
impl<F: burn_wgpu::FloatElement, I: burn_wgpu::IntElement, T: burn_wgpu::BoolElement> Backend
    for burn_wgpu::Wgpu<F, I, T>
{
}

#[cfg(feature = "cuda")]
impl Backend for burn_cuda::Cuda {}

#[cfg(feature = "rocm")]
impl Backend for burn_rocm::Rocm {}
