//! Dropout whose mask is a function of (seed, position), so the backward pass recomputes it instead of
//! storing it.
//!
//! y = x·m/(1 − p) with m = 0 with probability p. The mask bit of element i compares a 32-bit hash of the
//! seed and i with p·2³².

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Distribution, Int, Shape, Tensor, TensorMetadata};

use super::machine::parallel::{ELEMENTWISE_BLOCK, for_each_chunk};
use super::machine::simd::{Lanes, Simd, dispatch};
use super::tensor::{HostMemory, take};
use crate::backend::Saved;

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
    drop_values(&mut values, probability as f32, join_seed(&B::values(&seed)));
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

/// The mask of one dropout operation.
#[derive(Clone, Copy)]
pub(crate) struct Mask {
    seed: u64,
    threshold: u32,
    /// 1/(1 − p).
    pub(crate) scale: f32,
}

impl Mask {
    /// `None` when nothing is dropped.
    pub(crate) fn new(probability: f32, seed: u64) -> Option<Self> {
        assert!((0.0..1.0).contains(&probability), "dropout probability {probability} is outside [0, 1)");
        let threshold = (f64::from(probability) * 4_294_967_296.0) as u32;
        (threshold > 0).then_some(Self { seed, threshold, scale: 1.0 / (1.0 - probability) })
    }

    /// The key of one row of elements.
    pub(crate) fn row(self, row: u64) -> RowMask {
        // The finaliser of SplitMix64: every bit of the seed and the row reaches every bit of the key.
        let mut z = self.seed ^ row.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        RowMask { key: [z as u32, (z >> 32) as u32], threshold: self.threshold }
    }
}

/// The mask of one row of elements.
#[derive(Clone, Copy)]
pub(crate) struct RowMask {
    key: [u32; 2],
    threshold: u32,
}

/// Lane numbers, for the widest vector.
const LANE: [u32; 64] = {
    let mut lanes = [0; 64];
    let mut i = 0;
    while i < 64 {
        lanes[i] = i as u32;
        i += 1;
    }
    lanes
};

impl RowMask {
    /// `yes` in the lanes that are kept, zero in the others, for columns `column ..`.
    #[inline(always)]
    pub(crate) fn keep<S: Simd>(self, simd: S, column: usize, yes: Lanes<S>) -> Lanes<S> {
        let lane = simd.partial_load_u32s(&LANE[..S::F32_LANES]);
        let column = simd.add_u32s(lane, simd.splat_u32s(column as u32));
        let mut h =
            simd.xor_u32s(simd.mul_u32s(column, simd.splat_u32s(0x9e37_79b1)), simd.splat_u32s(self.key[0]));
        h = simd.xor_u32s(h, simd.wrapping_dyn_shr_u32s(h, simd.splat_u32s(16)));
        h = simd.mul_u32s(h, simd.splat_u32s(0x85eb_ca6b));
        h = simd.xor_u32s(h, simd.wrapping_dyn_shr_u32s(h, simd.splat_u32s(13)));
        h = simd.mul_u32s(simd.xor_u32s(h, simd.splat_u32s(self.key[1])), simd.splat_u32s(0xc2b2_ae35));
        h = simd.xor_u32s(h, simd.wrapping_dyn_shr_u32s(h, simd.splat_u32s(16)));
        let dropped = simd.less_than_u32s(h, simd.splat_u32s(self.threshold));
        Lanes::new(simd, simd.select_f32s(dropped, simd.splat_f32s(0.0), yes.v))
    }

    /// Multiplies a row, whose first element is column `column`, by the mask, and by `scale` where it is
    /// kept.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, column: usize, scale: f32, row: &mut [f32]) {
        let scale = Lanes::splat(simd, scale);
        let (head, tail) = S::as_mut_simd_f32s(row);
        let head_len = head.len();
        for (i, v) in head.iter_mut().enumerate() {
            *v = self.keep(simd, column + i * S::F32_LANES, Lanes::new(simd, *v) * scale).v;
        }
        if !tail.is_empty() {
            let v = Lanes::load(simd, tail);
            simd.partial_store_f32s(tail, self.keep(simd, column + head_len * S::F32_LANES, v * scale).v);
        }
    }
}

/// Drops elements in place with the given probability and scales the rest by 1/(1 − p). Applied to a gradient
/// with the same seed it is its own backward pass.
fn drop_values(x: &mut [f32], probability: f32, seed: u64) {
    let Some(mask) = Mask::new(probability, seed) else { return };
    let work = x.len() * 4;
    for_each_chunk(x, ELEMENTWISE_BLOCK, work, |block, x| dispatch!(dropout_block(mask, block, x)));
}

#[inline(always)]
fn dropout_block<S: Simd>(simd: S, mask: Mask, block: usize, x: &mut [f32]) {
    mask.row(block as u64).apply(simd, 0, mask.scale, x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::on_all_threads;

    #[test]
    fn keeps_the_right_share_and_scales_it() {
        for probability in [0.0, 0.1, 0.5, 0.9] {
            let n = 200_003;
            let x = on_all_threads(|| {
                let mut x = vec![1.0; n];
                drop_values(&mut x, probability, 7);
                vec![x]
            })
            .remove(0);
            let kept = x.iter().filter(|&&v| v != 0.0).count() as f64 / n as f64;
            assert!((kept - (1.0 - f64::from(probability))).abs() < 0.005, "p {probability} kept {kept}");
            assert!(x.iter().all(|&v| v == 0.0 || v == 1.0 / (1.0 - probability)));
        }
    }

    #[test]
    fn masks_depend_on_seed_row_and_column() {
        let mask = |seed, row| {
            let mut x = vec![1.0; 1000];
            Mask::new(0.5, seed).expect("a mask").row(row).apply(pulp::Scalar, 0, 2.0, &mut x);
            x
        };
        let agreement = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).filter(|(a, b)| a == b).count();
        for (a, b) in [(mask(1, 0), mask(2, 0)), (mask(1, 0), mask(1, 1)), (mask(1, 1), mask(2, 0))] {
            assert!((400..600).contains(&agreement(a, b)));
        }
        let row = mask(1, 0);
        assert!((400..600).contains(&agreement(row[1..].to_vec(), row[..999].to_vec())));
    }

    #[test]
    fn every_instruction_set_gives_the_same_mask() {
        let mask = Mask::new(0.3, 11).expect("a mask").row(5);
        let (mut scalar, mut simd) = (vec![1.0; 333], vec![1.0; 333]);
        mask.apply(pulp::Scalar, 4, 2.0, &mut scalar);
        dispatch!(apply_row(mask, &mut simd));
        assert_eq!(scalar, simd);
    }

    #[inline(always)]
    fn apply_row<S: Simd>(simd: S, mask: RowMask, x: &mut [f32]) {
        mask.apply(simd, 4, 2.0, x);
    }
}
