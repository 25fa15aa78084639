//! One kernel body, compiled for every instruction set, chosen at run time.
//!
//! A body is an `#[inline(always)]` function generic over [`Simd`]; [`dispatch!`] calls the instance for the
//! widest instruction set that the processor has (AVX-512, AVX2 + FMA, NEON, or plain scalar code).

mod dispatch;
mod lanes;
mod slices;

pub(crate) use dispatch::{Once, arch, dispatch, prefetch};
pub(crate) use lanes::Lanes;
pub(crate) use pulp::Simd;
pub(crate) use slices::{dot, map, map2, map3, map4, max, sum, sum2, sum3};
