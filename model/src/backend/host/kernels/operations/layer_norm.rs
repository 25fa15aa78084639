//! Layer norm over the last axis.
//!
//! `y = (x − μ)·r·γ + β` with μ the mean of the row and `r = 1/√(variance + ε)`, variance over d (not d − 1).
//! Backward, with `x̂ = (x − μ)·r` and `g = dy·γ`: `dx = r·(g − mean(g) − x̂·mean(g·x̂))`, `dγ = Σ dy·x̂`,
//! `dβ = Σ dy` over the rows.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use super::machine::parallel::{for_each_chunk2, for_each_chunk3};
use super::machine::simd::{Lanes, Simd, dispatch, dot, map2, map3, map4, sum, sum2, sum3};
use super::machine::workspace::with_scratch;
use super::tensor::{HostMemory, buffer, rows, take};
use crate::backend::{AffineGradients, Saved, Wanted};

/// Rows in one block of work, and in one partial sum of the parameter gradients.
const ROW_BLOCK: usize = 32;

/// Saves the input, its mean and reciprocal deviation.
pub(in crate::backend) fn layer_norm_forward<B: HostMemory>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    epsilon: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = input.shape();
    let (rows, _) = rows(&shape);
    let (mut output, mut mean, mut rstd) = (buffer(shape.num_elements()), buffer(rows), buffer(rows));
    let normed = Normed { y: &mut output, mean: &mut mean, rstd: &mut rstd };
    let bias = bias.as_ref().map(B::values);
    forward(&B::values(&input), &B::values(&weight), bias.as_deref(), epsilon as f32, normed);
    let statistics = [mean, rstd].map(|values| B::tensor(values, Shape::new([rows])));
    (B::tensor(output, shape), std::iter::once(input).chain(statistics).collect())
}

pub(in crate::backend) fn layer_norm_backward<B: HostMemory>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    wanted: Wanted,
    gradient: FloatTensor<B>,
    others: Option<FloatTensor<B>>,
) -> AffineGradients<B> {
    let [input, mean, rstd] = take::<B, 3>(saved);
    let shape = input.shape();
    let (_, width) = rows(&shape);
    let mut d_input = others.map_or_else(|| vec![0.0; shape.num_elements()], B::into_values);
    let mut d_weight = wanted.weight.then(|| buffer(width));
    let mut d_bias = wanted.bias.then(|| buffer(width));
    let (x, gamma, mean, rstd) = (B::values(&input), B::values(&weight), B::values(&mean), B::values(&rstd));
    let saved = LayerNormInputs { x: &x, gamma: &gamma, mean: &mean, rstd: &rstd };
    backward(&B::values(&gradient), saved, &mut d_input, d_weight.as_deref_mut(), d_bias.as_deref_mut());
    let vector = |values| B::tensor(values, Shape::new([width]));
    AffineGradients {
        input: Some(B::tensor(d_input, shape)),
        weight: d_weight.map(vector),
        bias: d_bias.map(vector),
    }
}

/// What the forward pass makes: the output, and the mean and 1/√(variance + ε) of each row.
struct Normed<'a> {
    y: &'a mut [f32],
    mean: &'a mut [f32],
    rstd: &'a mut [f32],
}

/// Normalises every row of x; `gamma.len()` is the row length.
fn forward(x: &[f32], gamma: &[f32], beta: Option<&[f32]>, epsilon: f32, Normed { y, mean, rstd }: Normed) {
    let d = gamma.len();
    assert!(d > 0 && x.len() == mean.len() * d && rstd.len() == mean.len(), "layer norm: rows of {d}");
    assert!(y.len() == x.len() && beta.is_none_or(|beta| beta.len() == d), "layer norm: output or beta");
    let work = x.len() * 4;
    for_each_chunk3(
        (y, ROW_BLOCK * d),
        (mean, ROW_BLOCK),
        (rstd, ROW_BLOCK),
        work,
        |block, y, mean, rstd| {
            let x = &x[block * ROW_BLOCK * d..][..y.len()];
            dispatch!(forward_block(x, gamma, beta, epsilon, Normed { y, mean, rstd }));
        },
    );
}

#[inline(always)]
fn forward_block<S: Simd>(
    simd: S,
    x: &[f32],
    gamma: &[f32],
    beta: Option<&[f32]>,
    epsilon: f32,
    Normed { y, mean, rstd }: Normed,
) {
    let d = gamma.len();
    for (i, (x, y)) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).enumerate() {
        (mean[i], rstd[i]) = centre(simd, x, epsilon, y);
        let scale = Lanes::splat(simd, rstd[i]);
        match beta {
            Some(beta) => map3(
                simd,
                y,
                gamma,
                beta,
                #[inline(always)]
                |c, g, b| (c * scale).mul_add(g, b),
            ),
            None => map2(
                simd,
                y,
                gamma,
                #[inline(always)]
                |c, g| c * scale * g,
            ),
        }
    }
}

/// y = x − μ for one row; returns μ and 1/√(variance + ε).
#[inline(always)]
fn centre<S: Simd>(simd: S, x: &[f32], epsilon: f32, y: &mut [f32]) -> (f32, f32) {
    let d = x.len() as f32;
    let mean = sum(simd, x) / d;
    // Centred first: Σ(x − μ)² keeps its accuracy where Σx² − dμ² cancels.
    let m = Lanes::splat(simd, mean);
    map2(
        simd,
        y,
        x,
        #[inline(always)]
        |_, x| x - m,
    );
    let variance = sum2(
        simd,
        y,
        y,
        #[inline(always)]
        |c, _| c * c,
    ) / d;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// What the backward pass reads besides the gradient: the input of the forward pass, γ, and each row's
/// statistics.
#[derive(Clone, Copy)]
pub(in crate::backend) struct LayerNormInputs<'a> {
    pub(in crate::backend) x: &'a [f32],
    pub(in crate::backend) gamma: &'a [f32],
    pub(in crate::backend) mean: &'a [f32],
    pub(in crate::backend) rstd: &'a [f32],
}

/// Gradients of the parameters that learn, which are overwritten, and of the input, which is added.
pub(in crate::backend) fn backward(
    dy: &[f32],
    inputs: LayerNormInputs,
    dx: &mut [f32],
    dgamma: Option<&mut [f32]>,
    dbeta: Option<&mut [f32]>,
) {
    let LayerNormInputs { x, gamma, mean, rstd } = inputs;
    let d = gamma.len();
    assert!(d > 0 && x.len() == mean.len() * d && rstd.len() == mean.len(), "layer norm: rows of {d}");
    assert!(dy.len() == x.len() && dx.len() == x.len(), "layer norm: gradients");
    let fits = |gradient: &Option<&mut [f32]>| gradient.as_ref().is_none_or(|gradient| gradient.len() == d);
    assert!(fits(&dgamma) && fits(&dbeta), "layer norm: gradients of gamma and beta");
    let blocks = mean.len().div_ceil(ROW_BLOCK);
    let learns = dgamma.is_some() || dbeta.is_some();
    with_scratch(blocks * 2 * d, |partial| {
        for_each_chunk2((dx, ROW_BLOCK * d), (&mut *partial, 2 * d), x.len() * 8, |block, dx, partial| {
            let first = block * ROW_BLOCK;
            let rows = first..first + dx.len() / d;
            let at = rows.start * d..rows.end * d;
            let (mean, rstd) = (&mean[rows.clone()], &rstd[rows]);
            let inputs = LayerNormInputs { x: &x[at.clone()], gamma, mean, rstd };
            if learns {
                dispatch!(parameter_gradients(&dy[at.clone()], inputs, partial));
            }
            dispatch!(backward_block(&dy[at], inputs, dx));
        });
        if let Some(dgamma) = dgamma {
            dispatch!(add_partials(partial, 0, dgamma));
        }
        if let Some(dbeta) = dbeta {
            dispatch!(add_partials(partial, d, dbeta));
        }
    });
}

/// The part of these rows in `dγ` and `dβ`, one behind the other.
#[inline(always)]
fn parameter_gradients<S: Simd>(
    simd: S,
    dy: &[f32],
    LayerNormInputs { x, gamma, mean, rstd }: LayerNormInputs,
    partial: &mut [f32],
) {
    let d = gamma.len();
    let (dgamma, dbeta) = partial.split_at_mut(d);
    dgamma.fill(0.0);
    dbeta.fill(0.0);
    let rows = dy.chunks_exact(d).zip(x.chunks_exact(d));
    for ((dy, x), (&mean, &rstd)) in rows.zip(mean.iter().zip(rstd)) {
        let (m, scale) = (Lanes::splat(simd, mean), Lanes::splat(simd, rstd));
        map3(
            simd,
            dgamma,
            dy,
            x,
            #[inline(always)]
            |sum, dy, x| dy.mul_add((x - m) * scale, sum),
        );
        map2(
            simd,
            dbeta,
            dy,
            #[inline(always)]
            |sum, dy| sum + dy,
        );
    }
}

#[inline(always)]
fn backward_block<S: Simd>(
    simd: S,
    dy: &[f32],
    LayerNormInputs { x, gamma, mean, rstd }: LayerNormInputs,
    dx: &mut [f32],
) {
    let d = gamma.len();
    let rows = dy.chunks_exact(d).zip(x.chunks_exact(d)).zip(dx.chunks_exact_mut(d));
    for (((dy, x), dx), (&mean, &rstd)) in rows.zip(mean.iter().zip(rstd)) {
        input_gradient(simd, dy, (x, mean, rstd), gamma, dx);
    }
}

/// `dx += r·dy·γ − (r·mean(g) + x̂·r·mean(g·x̂))` for one row.
#[inline(always)]
fn input_gradient<S: Simd>(
    simd: S,
    dy: &[f32],
    (x, mean, rstd): (&[f32], f32, f32),
    gamma: &[f32],
    dx: &mut [f32],
) {
    let d = gamma.len();
    let (m, scale) = (Lanes::splat(simd, mean), Lanes::splat(simd, rstd));
    let mean_g = dot(simd, dy, gamma) / d as f32;
    let mean_gx = sum3(
        simd,
        dy,
        gamma,
        x,
        #[inline(always)]
        |dy, g, x| dy * g * (x - m),
    ) * rstd
        / d as f32;
    let a = Lanes::splat(simd, mean_g);
    let b = Lanes::splat(simd, mean_gx * rstd);
    map4(
        simd,
        dx,
        dy,
        gamma,
        x,
        #[inline(always)]
        |dx, dy, g, x| scale * dy.mul_add(g, -((x - m).mul_add(b, a))) + dx,
    );
}

/// `out` = the sum over blocks of the part of each partial sum that starts at `offset`.
#[inline(always)]
fn add_partials<S: Simd>(simd: S, partial: &[f32], offset: usize, out: &mut [f32]) {
    let d = out.len();
    out.fill(0.0);
    for block in partial.chunks_exact(2 * d) {
        map2(
            simd,
            out,
            &block[offset..offset + d],
            #[inline(always)]
            |sum, x| sum + x,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::{
        assert_close, numerical_gradient, on_all_threads, random, wide,
    };
    use proptest::prelude::*;

    const EPSILON: f32 = 1e-5;

    fn reference(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        let d = gamma.len();
        x.chunks(d)
            .flat_map(|x| {
                let mean = x.iter().sum::<f64>() / d as f64;
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
                let r = 1.0 / (variance + f64::from(EPSILON)).sqrt();
                (0..d).map(move |j| (x[j] - mean) * r * gamma[j] + beta[j]).collect::<Vec<_>>()
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_reference_and_its_slopes(rows in 1usize..70, d in 2usize..60, seed in 0u64..1 << 40) {
            let (x, gamma, beta) = (random(rows * d, seed), random(d, seed + 1), random(d, seed + 2));
            let (dy, others) = (random(rows * d, seed + 3), random(rows * d, seed + 4));
            let r = on_all_threads(|| {
                let (mut y, mut bare) = (vec![9.0; x.len()], vec![9.0; x.len()]);
                let (mut mean, mut rstd) = (vec![9.0; rows], vec![9.0; rows]);
                let normed = Normed { y: &mut bare, mean: &mut mean, rstd: &mut rstd };
                forward(&x, &gamma, None, EPSILON, normed);
                let normed = Normed { y: &mut y, mean: &mut mean, rstd: &mut rstd };
                forward(&x, &gamma, Some(&beta), EPSILON, normed);
                let (mut dx, mut dgamma, mut dbeta) = (others.clone(), vec![9.0; d], vec![9.0; d]);
                let inputs = LayerNormInputs { x: &x, gamma: &gamma, mean: &mean, rstd: &rstd };
                let mut dx_bare = dx.clone();
                backward(&dy, inputs, &mut dx_bare, None, None);
                backward(&dy, inputs, &mut dx, Some(&mut dgamma), Some(&mut dbeta));
                vec![y, bare, dx, dgamma, dbeta, dx_bare]
            });
            let (wx, wg, wb) = (wide(&x), wide(&gamma), wide(&beta));
            assert_close(&r[0], &reference(&wx, &wg, &wb), 1e-5);
            assert_close(&r[1], &reference(&wx, &wg, &vec![0.0; d]), 1e-5);
            let loss = |y: Vec<f64>| y.iter().zip(&dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>();
            for i in [0, rows * d / 2, rows * d - 1] {
                let slope = numerical_gradient(&x, i, 1e-6, |x| loss(reference(x, &wg, &wb)));
                let got = f64::from(r[2][i]) - f64::from(others[i]);
                prop_assert!((got - slope).abs() <= 2e-4 * slope.abs().max(1.0), "dx {got} {slope}");
                prop_assert_eq!(r[2][i], r[5][i]);
            }
            for j in [0, d - 1] {
                let slope = numerical_gradient(&gamma, j, 1e-6, |gamma| loss(reference(&wx, gamma, &wb)));
                prop_assert!((f64::from(r[3][j]) - slope).abs() <= 1e-4 * slope.abs().max(1.0));
                let slope = numerical_gradient(&beta, j, 1e-6, |beta| loss(reference(&wx, &wg, beta)));
                prop_assert!((f64::from(r[4][j]) - slope).abs() <= 1e-4 * slope.abs().max(1.0));
            }
        }
    }

    #[test]
    fn a_row_of_one_element_is_its_shift() {
        let (mut y, mut mean, mut rstd) = ([0.0], [0.0], [0.0]);
        let normed = Normed { y: &mut y, mean: &mut mean, rstd: &mut rstd };
        forward(&[3.0], &[2.0], Some(&[0.5]), EPSILON, normed);
        assert_eq!(y, [0.5]);
    }
}
