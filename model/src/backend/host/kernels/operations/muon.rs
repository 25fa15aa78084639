//! One Muon step, in place (<https://kellerjordan.github.io/posts/muon/>).
//!
//! m ← μm + (1 − μ)g; n = μm + (1 − μ)g; p ← p·(1 − lr·wd) − lr·scale·orthogonalised(n), part by part.

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;

use super::machine::gemm::{Epilogue, gemm};
use super::machine::matrix::{RightView, View};
use super::machine::workspace::with_scratch;
use super::sum_of_squares::sum;
use super::tensor::HostMemory;
use crate::backend::MuonStep;

pub(in crate::backend) fn muon_step<B: HostMemory>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    momentum: FloatTensor<B>,
    step: MuonStep<'_>,
) -> [FloatTensor<B>; 2] {
    let shape = parameter.shape();
    let [mut parameter, mut momentum] = [parameter, momentum].map(B::into_values);
    update(step, shape[0], &mut parameter, &B::values(&gradient), &mut momentum);
    [parameter, momentum].map(|values| B::tensor(values, shape.clone()))
}

/// Updates a matrix with `d_in` rows and its momentum in place.
fn update(step: MuonStep<'_>, d_in: usize, parameter: &mut [f32], gradient: &[f32], momentum: &mut [f32]) {
    let MuonStep { learning_rate, momentum: decay, weight_decay, gradient_scale, parts } = step;
    let width: usize = parts.iter().sum();
    let len = d_in * width;
    assert!(
        parameter.len() == len && gradient.len() == len && momentum.len() == len,
        "Muon: {} values, {d_in} rows, parts {parts:?}",
        parameter.len()
    );
    let (gain, scale) = ((1.0 - decay) as f32, gradient_scale as f32);
    for (m, &g) in momentum.iter_mut().zip(gradient) {
        *m += (g * scale - *m) * gain;
    }
    let keep = (1.0 - learning_rate * weight_decay) as f32;
    let mut first = 0;
    for &d_out in parts {
        let columns = first..first + d_out;
        with_scratch(d_in * d_out, |x| {
            for (row, x) in x.chunks_exact_mut(d_out).enumerate() {
                let part = row * width + columns.start..row * width + columns.end;
                for ((x, &m), &g) in x.iter_mut().zip(&momentum[part.clone()]).zip(&gradient[part]) {
                    *x = m + (g * scale - m) * gain;
                }
            }
            orthogonalise(x, d_in, d_out);
            let rate = (learning_rate * MuonStep::scale(d_in, d_out)) as f32;
            for (row, x) in x.chunks_exact(d_out).enumerate() {
                for (p, &x) in parameter[row * width..][columns.clone()].iter_mut().zip(x) {
                    *p = *p * keep - rate * x;
                }
            }
        });
        first = columns.end;
    }
}

/// Brings the singular values of `x` near 1 by a Newton-Schulz iteration.
fn orthogonalise(x: &mut [f32], rows: usize, columns: usize) {
    let [a, b, c] = MuonStep::COEFFICIENTS.map(|coefficient| coefficient as f32);
    let inverse_norm = (1.0 / sum(x).sqrt().max(MuonStep::SMALLEST_NORM)) as f32;
    x.iter_mut().for_each(|x| *x *= inverse_norm);
    let side = rows.min(columns);
    with_scratch(2 * side * side + rows * columns, |scratch| {
        let (square, scratch) = scratch.split_at_mut(side * side);
        let (factor, next) = scratch.split_at_mut(side * side);
        for _ in 0..MuonStep::TURNS {
            // On the shorter side, where the product with itself is smaller.
            let (left, right) = if rows <= columns {
                (View::rows(x, columns), RightView::transposed(&*x, columns))
            } else {
                (View::transposed(x, columns), RightView::rows(x, columns))
            };
            product((side, side, rows.max(columns)), left, right, square);
            product((side, side, side), View::rows(square, side), RightView::rows(square, side), factor);
            for (factor, &square) in factor.iter_mut().zip(&*square) {
                *factor = c * *factor + b * square;
            }
            factor.iter_mut().step_by(side + 1).for_each(|diagonal| *diagonal += a);
            if rows <= columns {
                product((rows, columns, side), View::rows(factor, side), RightView::rows(x, columns), next);
            } else {
                product((rows, columns, side), View::rows(x, columns), RightView::rows(factor, side), next);
            }
            x.copy_from_slice(next);
        }
    });
}

/// `out = left · right`, of `rows`, `columns` and as many terms in each sum.
fn product((rows, columns, terms): (usize, usize, usize), left: View, right: RightView, out: &mut [f32]) {
    gemm(rows, columns, terms, left, right, out, Epilogue::Store);
}
