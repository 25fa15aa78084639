//! What keeps logits within bounds: y = c·tanh(x/c), whose slope is 1 − (y/c)².

use super::super::machine::math;
use super::super::machine::parallel::{ELEMENTWISE_BLOCK, for_each_chunk};
use super::super::machine::simd::{Lanes, Simd, dispatch, map};

/// Caps every logit.
pub(super) fn forward(logits: &mut [f32], cap: f32) {
    let work = logits.len() * 8;
    for_each_chunk(logits, ELEMENTWISE_BLOCK, work, |_, logits| dispatch!(forward_block(logits, cap)));
}

#[inline(always)]
pub(super) fn forward_block<S: Simd>(simd: S, logits: &mut [f32], cap: f32) {
    let (cap, inverse) = (Lanes::splat(simd, cap), Lanes::splat(simd, 1.0 / cap));
    map(
        simd,
        logits,
        #[inline(always)]
        |x| math::tanh(x * inverse) * cap,
    );
}

/// The slope where the capped logit is `y`, given `1 / cap`.
#[inline(always)]
pub(super) fn slope<S: Simd>(y: Lanes<S>, inverse: Lanes<S>) -> Lanes<S> {
    let tanh = y * inverse;
    y.like(1.0) - tanh * tanh
}
