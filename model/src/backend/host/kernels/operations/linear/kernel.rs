//! The linear map on slices.
//!
//! x is `[rows, d_in]`, W `[d_in, d_out]`, y `[rows, d_out]`. Backward: dx = dy·Wᵀ, dW = xᵀ·dy, db = Σ over
//! rows of dy.

use super::super::activation;
use super::super::machine::elements::Elements;
use super::super::machine::gemm::{Epilogue, gemm};
use super::super::machine::matrix::{RightView, View};
use super::super::machine::parallel::{SharedMut, for_each};
use super::super::machine::simd::{Simd, dispatch, map2};
use super::super::machine::thin;
use crate::Activation;

/// Sizes of a linear layer applied to a batch of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct LinearShape {
    /// Rows of the input and the output: batch × sequence.
    pub(in super::super) rows: usize,
    /// Columns of the input.
    pub(in super::super) d_in: usize,
    /// Columns of the output.
    pub(in super::super) d_out: usize,
}

impl LinearShape {
    fn check(self, x: &[f32], w: usize, y: &[f32]) {
        assert_eq!(x.len(), self.rows * self.d_in, "linear input of {self:?}");
        assert_eq!(w, self.d_in * self.d_out, "linear weight of {self:?}");
        assert_eq!(y.len(), self.rows * self.d_out, "linear output of {self:?}");
    }
}

/// The matrix W of a linear layer, as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Weight<'a> {
    /// Row by row, as in training: its gradient is made in the same order.
    Rows(&'a [f32]),
    /// Column by column, one for each output channel: one stream of memory for a handful of rows of x.
    Columns(Elements<'a>),
}

impl Weight<'_> {
    fn len(self) -> usize {
        match self {
            Self::Rows(values) => values.len(),
            Self::Columns(elements) => elements.len(),
        }
    }
}

/// y = x·Wᵀ + b for a handful of rows of x and W channel by channel.
fn times_columns(
    (m, n, k): (usize, usize, usize),
    x: &[f32],
    w: Elements,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    match w {
        Elements::F32(w) => thin::times_columns((m, n, k), x, w, None, bias, y),
        Elements::Bf16(w) => thin::times_columns((m, n, k), x, w, None, bias, y),
        Elements::Int8(w, scales) => thin::times_columns((m, n, k), x, w, Some(scales), bias, y),
    }
}

/// [`forward`] for a handful of rows of x.
fn thin_linear(
    LinearShape { rows, d_in, d_out }: LinearShape,
    x: &[f32],
    w: Weight,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    match w {
        Weight::Rows(w) => thin::times_rows((rows, d_out, d_in), x, w, bias, y),
        Weight::Columns(w) => times_columns((rows, d_out, d_in), x, w, bias, y),
    }
}

/// The weight of a linear layer as a right operand.
fn right(LinearShape { d_in, d_out, .. }: LinearShape, w: Weight<'_>) -> RightView<'_> {
    match w {
        Weight::Rows(w) => RightView::rows(w, d_out),
        Weight::Columns(w) => RightView::transposed(w, d_in),
    }
}

/// y = x·W + b.
pub(in super::super) fn forward(
    shape: LinearShape,
    x: &[f32],
    w: Weight,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    shape.check(x, w.len(), y);
    let LinearShape { rows, d_in, d_out } = shape;
    if rows <= thin::MAX_ROWS {
        return thin_linear(shape, x, w, bias, y);
    }
    let epilogue = bias.map_or(Epilogue::Store, Epilogue::Bias);
    gemm(rows, d_out, d_in, View::rows(x, d_in), right(shape, w), y, epilogue);
}

/// pre = x·W + b, out = activation(pre): the pre-activation is what the backward pass needs.
pub(super) fn forward_activated(
    shape: LinearShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
    pre: &mut [f32],
    out: &mut [f32],
) {
    shape.check(x, w.len(), pre);
    assert_eq!(out.len(), pre.len(), "activation output of {shape:?}");
    let LinearShape { rows, d_in, d_out } = shape;
    if rows <= thin::MAX_ROWS {
        thin::times_rows((rows, d_out, d_in), x, w, bias, pre);
        out.copy_from_slice(pre);
        return activation::forward(activation, out);
    }
    let epilogue = Epilogue::Activate { bias, activation, out };
    gemm(rows, d_out, d_in, View::rows(x, d_in), RightView::rows(w, d_out), pre, epilogue);
}

/// out = activation(x·W + b), without what a backward pass needs.
pub(super) fn forward_activated_only(
    shape: LinearShape,
    x: &[f32],
    w: Weight,
    bias: Option<&[f32]>,
    activation: Activation,
    out: &mut [f32],
) {
    shape.check(x, w.len(), out);
    let LinearShape { rows, d_in, d_out } = shape;
    if rows <= thin::MAX_ROWS {
        thin_linear(shape, x, w, bias, out);
        return activation::forward(activation, out);
    }
    let epilogue = Epilogue::ActivateInPlace { bias, activation };
    gemm(rows, d_out, d_in, View::rows(x, d_in), right(shape, w), out, epilogue);
}

/// dx = dy·Wᵀ: W row by row is Wᵀ column by column.
pub(super) fn backward_input(shape: LinearShape, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let LinearShape { rows, d_in, d_out } = shape;
    let transposed = LinearShape { rows, d_in: d_out, d_out: d_in };
    forward(transposed, dy, Weight::Columns(w.into()), None, dx);
}

/// dW = xᵀ·dy.
pub(super) fn backward_weight(shape: LinearShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    shape.check(x, dw.len(), dy);
    let LinearShape { rows, d_in, d_out } = shape;
    gemm(d_in, d_out, rows, View::transposed(x, d_in), RightView::rows(dy, d_out), dw, Epilogue::Store);
}

/// Columns that one task sums.
const COLUMN_BLOCK: usize = 64;

/// db = the sum of the rows of dy, in their order.
pub(super) fn backward_bias(dy: &[f32], db: &mut [f32]) {
    let columns = db.len();
    if columns == 0 {
        return;
    }
    assert_eq!(dy.len() % columns, 0, "a matrix of whole rows");
    let shared = SharedMut::new(db);
    for_each(columns.div_ceil(COLUMN_BLOCK), dy.len(), |block| {
        let j0 = block * COLUMN_BLOCK;
        let width = COLUMN_BLOCK.min(columns - j0);
        // SAFETY: columns j0 .. j0 + width of `db`, which belong to this task alone.
        let db = unsafe { std::slice::from_raw_parts_mut(shared.at(j0), width) };
        dispatch!(sum_block(dy, columns, j0, db));
    });
}

#[inline(always)]
fn sum_block<S: Simd>(simd: S, x: &[f32], columns: usize, j0: usize, out: &mut [f32]) {
    out.fill(0.0);
    for row in x.chunks_exact(columns) {
        map2(
            simd,
            out,
            &row[j0..j0 + out.len()],
            #[inline(always)]
            |sum, x| sum + x,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::elements::{quantize_rows, to_bf16};
    use crate::backend::host::kernels::machine::testing::{assert_close, on_all_threads, product, random};
    use proptest::prelude::*;

    fn check(rows: usize, d_in: usize, d_out: usize, seed: u64) {
        let shape = LinearShape { rows, d_in, d_out };
        let (x, w) = (random(rows * d_in, seed), random(d_in * d_out, seed + 1));
        let (bias, dy) = (random(d_out, seed + 2), random(rows * d_out, seed + 3));
        let r = on_all_threads(|| {
            let (mut y, mut plain) = (vec![9.0; rows * d_out], vec![9.0; rows * d_out]);
            forward(shape, &x, Weight::Rows(&w), Some(&bias), &mut y);
            forward(shape, &x, Weight::Rows(&w), None, &mut plain);
            let (mut pre, mut out, mut inference) =
                (vec![9.0; y.len()], vec![9.0; y.len()], vec![9.0; y.len()]);
            forward_activated(shape, &x, &w, Some(&bias), Activation::GeluTanh, &mut pre, &mut out);
            forward_activated_only(
                shape,
                &x,
                Weight::Rows(&w),
                Some(&bias),
                Activation::GeluTanh,
                &mut inference,
            );
            let (mut dx, mut dw, mut db) = (vec![9.0; x.len()], vec![9.0; w.len()], vec![9.0; d_out]);
            backward_input(shape, &dy, &w, &mut dx);
            backward_weight(shape, &x, &dy, &mut dw);
            backward_bias(&dy, &mut db);
            vec![y, plain, pre, out, inference, dx, dw, db]
        });
        let plain = product((rows, d_out, d_in), |i, p| x[i * d_in + p], |p, j| w[p * d_out + j]);
        let y: Vec<f64> = plain.iter().enumerate().map(|(i, v)| v + f64::from(bias[i % d_out])).collect();
        let dx = product((rows, d_in, d_out), |i, p| dy[i * d_out + p], |p, j| w[j * d_out + p]);
        let dw = product((d_in, d_out, rows), |i, p| x[p * d_in + i], |p, j| dy[p * d_out + j]);
        let db = product((1, d_out, rows), |_, _| 1.0, |p, j| dy[p * d_out + j]);
        assert_close(&r[0], &y, 1e-5);
        assert_close(&r[1], &plain, 1e-5);
        assert_eq!(r[0], r[2]);
        let mut activated = r[2].clone();
        activation::forward(Activation::GeluTanh, &mut activated);
        assert_eq!(r[3], activated);
        assert_eq!(r[4], activated);
        assert_close(&r[5], &dx, 1e-5);
        assert_close(&r[6], &dw, 1e-5);
        assert_close(&r[7], &db, 1e-5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn equals_the_reference(rows in 1usize..80, d_in in 1usize..80, d_out in 1usize..150, seed in 0u64..1 << 40) {
            check(rows, d_in, d_out, seed);
        }

        #[test]
        fn thin_shapes_equal_the_reference(rows in 1usize..10, d_in in 1usize..300, d_out in 1usize..200, seed in 0u64..1 << 40) {
            check(rows, d_in, d_out, seed);
        }
    }

    #[test]
    fn every_level_of_blocking_is_crossed() {
        check(300, 900, 70, 1);
        check(50, 401, 2100, 2);
        check(1, 1, 1, 3);
        check(1, 401, 2100, 4);
        check(5, 401, 1300, 5);
    }

    /// Every product with a weight column by column, in each format, against the widened weight in f64.
    fn check_columns(rows: usize, d_in: usize, d_out: usize, seed: u64) {
        let (x, bias) = (random(rows * d_in, seed), random(d_out, seed + 2));
        let w = random(d_in * d_out, seed + 1);
        let bf16 = to_bf16(&w);
        let (int8, scales) = quantize_rows(&w, d_out);
        let wide_bf16 = |index: usize| f32::from_bits(u32::from(bf16[index]) << 16);
        let wide_int8 = |index: usize| f32::from(int8[index]) * scales[index / d_in];

        let shape = LinearShape { rows, d_in, d_out };
        let results = on_all_threads(|| {
            let mut results = Vec::new();
            for elements in [Elements::F32(&w), Elements::Bf16(&bf16), Elements::Int8(&int8, &scales)] {
                let weight = Weight::Columns(elements);
                let [mut y, mut activated, mut plain] = [(); 3].map(|()| vec![9.0; rows * d_out]);
                forward(shape, &x, weight, Some(&bias), &mut y);
                let activation = Activation::GeluTanh;
                forward_activated_only(shape, &x, weight, Some(&bias), activation, &mut activated);
                forward(shape, &x, weight, None, &mut plain);
                results.extend([y, activated, plain]);
            }
            results
        });
        let wide: [&dyn Fn(usize) -> f32; 3] = [&|index| w[index], &wide_bf16, &wide_int8];
        for (results, wide) in results.chunks(3).zip(wide) {
            let plain = product((rows, d_out, d_in), |i, p| x[i * d_in + p], |p, j| wide(j * d_in + p));
            let affine: Vec<f64> =
                plain.iter().enumerate().map(|(index, y)| y + f64::from(bias[index % d_out])).collect();
            assert_close(&results[0], &affine, 1e-5);
            let mut activated = results[0].clone();
            activation::forward(Activation::GeluTanh, &mut activated);
            assert_eq!(results[1], activated);
            assert_close(&results[2], &plain, 1e-5);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn columns_compute_what_they_hold(rows in 1usize..20, d_in in 1usize..300, d_out in 1usize..200, seed in 0u64..1 << 40) {
            check_columns(rows, d_in, d_out, seed);
        }
    }

    #[test]
    fn columns_cross_every_level_of_blocking() {
        check_columns(1, 401, 2100, 2);
        check_columns(50, 401, 2100, 3);
        check_columns(1, 1, 1, 4);
    }
}
