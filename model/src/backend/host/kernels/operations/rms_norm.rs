//! RMS norm over the last axis.
//!
//! `y = x·r·γ` with `r = 1/√(mean(x²) + ε)` of the row. Backward, with `x̂ = x·r` and `g = dy·γ`: `dx = r·(g − x̂·mean(g·x̂))`,
//! `dγ = Σ dy·x̂` over the rows.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use super::machine::parallel::for_each_chunk2;
use super::machine::simd::{Lanes, Simd, dispatch, dot, map2, map3, map4, sum3};
use super::machine::workspace::with_scratch;
use super::tensor::{HostMemory, buffer, rows, take};
use crate::backend::{AffineGradients, Saved, Wanted};

/// Rows in one block of work, and in one partial sum of the weight's gradient.
const ROW_BLOCK: usize = 32;

/// Saves the input and each row's `r`.
pub(in crate::backend) fn rms_norm_forward<B: HostMemory>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = input.shape();
    let (rows, width) = rows(&shape);
    let (mut output, mut rrms) = (buffer(shape.num_elements()), buffer(rows));
    {
        let (x, gamma) = (B::values(&input), B::values(&weight));
        let (x, gamma): (&[f32], &[f32]) = (&x, &gamma);
        assert!(gamma.len() == width && x.len() == rows * width, "rms norm: rows of {width}");
        let block = ROW_BLOCK * width;
        for_each_chunk2((&mut output, block), (&mut rrms, ROW_BLOCK), x.len() * 4, |index, y, rrms| {
            let x = &x[index * block..][..y.len()];
            dispatch!(forward_block(x, gamma, epsilon as f32, y, rrms));
        });
    }
    let rrms = B::tensor(rrms, Shape::new([rows]));
    (B::tensor(output, shape), vec![input, rrms])
}

#[inline(always)]
fn forward_block<S: Simd>(simd: S, x: &[f32], gamma: &[f32], epsilon: f32, y: &mut [f32], rrms: &mut [f32]) {
    let d = gamma.len();
    for ((x, y), rrms) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(rrms) {
        *rrms = 1.0 / (dot(simd, x, x) / d as f32 + epsilon).sqrt();
        let scale = Lanes::splat(simd, *rrms);
        map3(
            simd,
            y,
            x,
            gamma,
            #[inline(always)]
            |_, x, g| x * scale * g,
        );
    }
}

pub(in crate::backend) fn rms_norm_backward<B: HostMemory>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    wanted: Wanted,
    gradient: FloatTensor<B>,
    others: Option<FloatTensor<B>>,
) -> AffineGradients<B> {
    let [input, rrms] = take::<B, 2>(saved);
    let shape = input.shape();
    let (rows, width) = rows(&shape);
    let mut d_input = others.map_or_else(|| vec![0.0; shape.num_elements()], B::into_values);
    let mut d_weight = wanted.weight.then(|| buffer(width));
    {
        let (x, gamma, rrms, dy) =
            (B::values(&input), B::values(&weight), B::values(&rrms), B::values(&gradient));
        let (x, gamma, rrms, dy): (&[f32], &[f32], &[f32], &[f32]) = (&x, &gamma, &rrms, &dy);
        assert!(rrms.len() == rows && dy.len() == x.len(), "rms norm: gradients");
        let (block, blocks) = (ROW_BLOCK * width, rows.div_ceil(ROW_BLOCK));
        with_scratch(blocks * width, |partial| {
            for_each_chunk2(
                (&mut d_input, block),
                (&mut *partial, width),
                x.len() * 6,
                |index, dx, partial| {
                    let at = index * block..index * block + dx.len();
                    let rrms = &rrms[index * ROW_BLOCK..][..dx.len() / width];
                    let (dy, x) = (&dy[at.clone()], &x[at]);
                    if wanted.weight {
                        dispatch!(weight_gradient((dy, x), width, rrms, partial));
                    }
                    dispatch!(backward_block((dy, x), gamma, rrms, dx));
                },
            );
            if let Some(d_weight) = &mut d_weight {
                dispatch!(add_partials(partial, d_weight));
            }
        });
    }
    let weight = d_weight.map(|gradient| B::tensor(gradient, Shape::new([width])));
    AffineGradients { input: Some(B::tensor(d_input, shape)), weight, bias: None }
}

/// The part of these rows of `d` elements in `dγ`.
#[inline(always)]
fn weight_gradient<S: Simd>(simd: S, (dy, x): (&[f32], &[f32]), d: usize, rrms: &[f32], d_gamma: &mut [f32]) {
    d_gamma.fill(0.0);
    for ((dy, x), &rrms) in dy.chunks_exact(d).zip(x.chunks_exact(d)).zip(rrms) {
        let scale = Lanes::splat(simd, rrms);
        map3(
            simd,
            d_gamma,
            dy,
            x,
            #[inline(always)]
            |sum, dy, x| dy.mul_add(x * scale, sum),
        );
    }
}

#[inline(always)]
fn backward_block<S: Simd>(simd: S, (dy, x): (&[f32], &[f32]), gamma: &[f32], rrms: &[f32], dx: &mut [f32]) {
    let d = gamma.len();
    let rows = dy.chunks_exact(d).zip(x.chunks_exact(d)).zip(dx.chunks_exact_mut(d)).zip(rrms);
    for (((dy, x), dx), &rrms) in rows {
        let scale = Lanes::splat(simd, rrms);
        let along = sum3(
            simd,
            dy,
            gamma,
            x,
            #[inline(always)]
            |dy, g, x| dy * g * x,
        );
        // r·x̂·mean(g·x̂) = x·r³·mean(g·x)
        let pull = Lanes::splat(simd, -(rrms * rrms * rrms) * along / d as f32);
        map4(
            simd,
            dx,
            x,
            dy,
            gamma,
            #[inline(always)]
            |dx, x, dy, g| x.mul_add(pull, dy * g * scale) + dx,
        );
    }
}

/// `out` = the sum of the partial sums.
#[inline(always)]
fn add_partials<S: Simd>(simd: S, partial: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for block in partial.chunks_exact(out.len()) {
        map2(
            simd,
            out,
            block,
            #[inline(always)]
            |sum, x| sum + x,
        );
    }
}
