//! Layer normalisation over the last dimension.
//!
//! y = (x − μ)·r·γ + β with μ the mean of the row and r = 1/√(variance + ε), variance over d (not d − 1).
//! Backward, with x̂ = (x − μ)·r and g = dy·γ: dx = r·(g − mean(g) − x̂·mean(g·x̂)), dγ = Σ dy·x̂, dβ = Σ dy over the rows.

use super::parallel::{for_each_chunk2, for_each_chunk3};
use super::simd::{Lanes, Simd, dispatch, dot, map, map2, map3, map4, sum, sum2, sum3};
use super::workspace::with_scratch;

/// Rows in one block of work, and in one partial sum of the parameter gradients.
const ROW_BLOCK: usize = 32;

/// Normalises every row of x; `gamma.len()` is the row length. Saves the mean and 1/√(variance + ε) of each row.
pub fn layer_norm_forward(
    x: &[f32],
    gamma: &[f32],
    beta: Option<&[f32]>,
    epsilon: f32,
    y: &mut [f32],
    mean: &mut [f32],
    rstd: &mut [f32],
) {
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
            dispatch!(forward_block(x, gamma, beta, epsilon, y, mean, rstd));
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
    y: &mut [f32],
    mean: &mut [f32],
    rstd: &mut [f32],
) {
    let d = gamma.len();
    for (i, (x, y)) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).enumerate() {
        let mu = sum(simd, x) / d as f32;
        // Centred first: Σ(x − μ)² keeps its accuracy where Σx² − dμ² cancels.
        let m = Lanes::splat(simd, mu);
        y.copy_from_slice(x);
        map(
            simd,
            y,
            #[inline(always)]
            |y| y - m,
        );
        let variance = sum2(
            simd,
            y,
            y,
            #[inline(always)]
            |c, _| c * c,
        ) / d as f32;
        let r = 1.0 / (variance + epsilon).sqrt();
        let scale = Lanes::splat(simd, r);
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
        mean[i] = mu;
        rstd[i] = r;
    }
}

/// Gradients of the input and the parameters. With `accumulate` the input's gradient is added to `dx`, as a residual connection needs.
pub fn layer_norm_backward(
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    mean: &[f32],
    rstd: &[f32],
    dx: &mut [f32],
    dgamma: &mut [f32],
    dbeta: Option<&mut [f32]>,
    accumulate: bool,
) {
    let d = gamma.len();
    assert!(d > 0 && x.len() == mean.len() * d && rstd.len() == mean.len(), "layer norm: rows of {d}");
    assert!(dy.len() == x.len() && dx.len() == x.len() && dgamma.len() == d, "layer norm: gradients");
    assert!(dbeta.as_ref().is_none_or(|dbeta| dbeta.len() == d), "layer norm: gradient of beta");
    let blocks = mean.len().div_ceil(ROW_BLOCK);
    with_scratch(blocks * 2 * d, |partial| {
        for_each_chunk2((dx, ROW_BLOCK * d), (partial, 2 * d), x.len() * 8, |block, dx, partial| {
            let first = block * ROW_BLOCK;
            let rows = dx.len() / d;
            let saved = (&mean[first..first + rows], &rstd[first..first + rows]);
            let at = first * d..(first + rows) * d;
            dispatch!(backward_block(&dy[at.clone()], &x[at], gamma, saved, dx, partial, accumulate));
        });
        dispatch!(add_partials(partial, 0, dgamma));
        if let Some(dbeta) = dbeta {
            dispatch!(add_partials(partial, d, dbeta));
        }
    });
}

#[inline(always)]
fn backward_block<S: Simd>(
    simd: S,
    dy: &[f32],
    x: &[f32],
    gamma: &[f32],
    (mean, rstd): (&[f32], &[f32]),
    dx: &mut [f32],
    partial: &mut [f32],
    accumulate: bool,
) {
    let d = gamma.len();
    let (dgamma, dbeta) = partial.split_at_mut(d);
    dgamma.fill(0.0);
    dbeta.fill(0.0);
    let rows = dy.chunks_exact(d).zip(x.chunks_exact(d)).zip(dx.chunks_exact_mut(d));
    for (((dy, x), dx), (&mu, &r)) in rows.zip(mean.iter().zip(rstd)) {
        let m = Lanes::splat(simd, mu);
        let scale = Lanes::splat(simd, r);
        let mean_g = dot(simd, dy, gamma) / d as f32;
        let mean_gx = sum3(
            simd,
            dy,
            gamma,
            x,
            #[inline(always)]
            |dy, g, x| dy * g * (x - m),
        ) * r
            / d as f32;
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
        // dx = r·dy·γ − (r·mean(g) + x̂·r·mean(g·x̂))
        let a = Lanes::splat(simd, mean_g);
        let b = Lanes::splat(simd, mean_gx * r);
        if !accumulate {
            dx.fill(0.0);
        }
        map4(
            simd,
            dx,
            dy,
            gamma,
            x,
            #[inline(always)]
            |dx, dy, g, x| scale.mul_add(dy.mul_add(g, -((x - m).mul_add(b, a))), dx),
        );
    }
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
    use crate::backend::host::kernels::testing::{
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
            let (dy, dx0) = (random(rows * d, seed + 3), random(rows * d, seed + 4));
            let r = on_all_threads(|| {
                let (mut y, mut bare) = (vec![9.0; x.len()], vec![9.0; x.len()]);
                let (mut mean, mut rstd) = (vec![9.0; rows], vec![9.0; rows]);
                layer_norm_forward(&x, &gamma, None, EPSILON, &mut bare, &mut mean, &mut rstd);
                layer_norm_forward(&x, &gamma, Some(&beta), EPSILON, &mut y, &mut mean, &mut rstd);
                let (mut dx, mut dgamma, mut dbeta) = (vec![9.0; x.len()], vec![9.0; d], vec![9.0; d]);
                let mut dx_sum = dx0.clone();
                layer_norm_backward(&dy, &x, &gamma, &mean, &rstd, &mut dx_sum, &mut dgamma, None, true);
                layer_norm_backward(&dy, &x, &gamma, &mean, &rstd, &mut dx, &mut dgamma, Some(&mut dbeta), false);
                vec![y, bare, dx, dgamma, dbeta, dx_sum]
            });
            let (wx, wg, wb) = (wide(&x), wide(&gamma), wide(&beta));
            assert_close(&r[0], &reference(&wx, &wg, &wb), 1e-5);
            assert_close(&r[1], &reference(&wx, &wg, &vec![0.0; d]), 1e-5);
            let loss = |y: Vec<f64>| y.iter().zip(&dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>();
            for i in [0, rows * d / 2, rows * d - 1] {
                let slope = numerical_gradient(&x, i, 1e-6, |x| loss(reference(x, &wg, &wb)));
                prop_assert!((f64::from(r[2][i]) - slope).abs() <= 2e-4 * slope.abs().max(1.0), "dx {} {slope}", r[2][i]);
                let sum = slope + f64::from(dx0[i]);
                prop_assert!((f64::from(r[5][i]) - sum).abs() <= 2e-4 * sum.abs().max(1.0));
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
        layer_norm_forward(&[3.0], &[2.0], Some(&[0.5]), EPSILON, &mut y, &mut mean, &mut rstd);
        assert_eq!(y, [0.5]);
    }
}
