//! The linear layer y = x·W + b, its gradients, and plain products of row-major matrices.
//!
//! x is `[rows, d_in]`, W `[d_in, d_out]`, y `[rows, d_out]`. Backward: dx = dy·Wᵀ, dW = xᵀ·dy, db = Σ over rows of dy.

use super::activation;
use super::elements::Elements;
use super::gemm::{Epilogue, RightView, View, gemm};
use super::parallel::{SharedMut, for_each};
use super::simd::{Simd, dispatch, map2};
use super::thin;
use crate::Activation;

/// Sizes of a linear layer applied to a batch of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    /// Rows of the input and the output: batch × sequence.
    pub rows: usize,
    /// Columns of the input.
    pub d_in: usize,
    /// Columns of the output.
    pub d_out: usize,
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
pub enum Weight<'a> {
    /// Row by row, as it learns: the gradient is made in the same order.
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

/// Which operand of a matrix product is stored transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A is `[m, k]`, B is `[k, n]`.
    Nn,
    /// A is `[m, k]`, B is `[n, k]`.
    Nt,
    /// A is `[k, m]`, B is `[k, n]`.
    Tn,
}

/// C (`[m, n]`) = A·B, or C += A·B with `accumulate`.
pub fn matmul(
    layout: Layout,
    (m, n, k): (usize, usize, usize),
    a: &[f32],
    b: Elements,
    c: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(a.len(), m * k, "left operand of a {m}x{k}x{n} product");
    assert_eq!(b.len(), k * n, "right operand of a {m}x{k}x{n} product");
    if m <= thin::MAX_ROWS && !accumulate {
        match layout {
            Layout::Nn => return thin::times_rows((m, n, k), a, b.wide(), None, c),
            Layout::Nt => return times_columns((m, n, k), a, b, None, c),
            Layout::Tn => {}
        }
    }
    let a = if layout == Layout::Tn { View::transposed(a, m) } else { View::rows(a, k) };
    let b = if layout == Layout::Nt { RightView::transposed(b, k) } else { RightView::rows(b.wide(), n) };
    gemm(m, n, k, a, b, c, if accumulate { Epilogue::Accumulate } else { Epilogue::Store });
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

/// [`linear_forward`] for a handful of rows of x.
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
pub fn linear_forward(shape: LinearShape, x: &[f32], w: Weight, bias: Option<&[f32]>, y: &mut [f32]) {
    shape.check(x, w.len(), y);
    let LinearShape { rows, d_in, d_out } = shape;
    if rows <= thin::MAX_ROWS {
        return thin_linear(shape, x, w, bias, y);
    }
    let epilogue = bias.map_or(Epilogue::Store, Epilogue::Bias);
    gemm(rows, d_out, d_in, View::rows(x, d_in), right(shape, w), y, epilogue);
}

/// pre = x·W + b, out = activation(pre): the pre-activation is what the backward pass needs.
pub fn linear_activation_forward(
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
        return activation::activation_forward(activation, out);
    }
    let epilogue = Epilogue::Activate { bias, activation, out };
    gemm(rows, d_out, d_in, View::rows(x, d_in), RightView::rows(w, d_out), pre, epilogue);
}

/// out = activation(x·W + b), for inference.
pub fn linear_activation_inference(
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
        return activation::activation_forward(activation, out);
    }
    let epilogue = Epilogue::ActivateInPlace { bias, activation };
    gemm(rows, d_out, d_in, View::rows(x, d_in), right(shape, w), out, epilogue);
}

/// dx = dy·Wᵀ, or dx += dy·Wᵀ with `accumulate`.
pub fn linear_backward_input(shape: LinearShape, dy: &[f32], w: &[f32], dx: &mut [f32], accumulate: bool) {
    shape.check(dx, w.len(), dy);
    matmul(Layout::Nt, (shape.rows, shape.d_in, shape.d_out), dy, w.into(), dx, accumulate);
}

/// dW = xᵀ·dy, or dW += xᵀ·dy with `accumulate`.
pub fn linear_backward_weight(shape: LinearShape, x: &[f32], dy: &[f32], dw: &mut [f32], accumulate: bool) {
    shape.check(x, dw.len(), dy);
    let LinearShape { rows, d_in, d_out } = shape;
    let epilogue = if accumulate { Epilogue::Accumulate } else { Epilogue::Store };
    gemm(d_in, d_out, rows, View::transposed(x, d_in), RightView::rows(dy, d_out), dw, epilogue);
}

/// db = the sum of the rows of dy.
pub fn linear_backward_bias(dy: &[f32], db: &mut [f32]) {
    column_sums(dy, db);
}

/// Columns that one task sums.
const COLUMN_BLOCK: usize = 256;

/// `out[j]` = the sum of column j of a row-major matrix with `out.len()` columns, in the order of the rows.
pub fn column_sums(x: &[f32], out: &mut [f32]) {
    let columns = out.len();
    if columns == 0 {
        return;
    }
    assert_eq!(x.len() % columns, 0, "a matrix of whole rows");
    let shared = SharedMut::new(out);
    for_each(columns.div_ceil(COLUMN_BLOCK), x.len(), |block| {
        let j0 = block * COLUMN_BLOCK;
        let width = COLUMN_BLOCK.min(columns - j0);
        // SAFETY: columns j0 .. j0 + width of `out`, which belong to this task alone.
        let out = unsafe { std::slice::from_raw_parts_mut(shared.at(j0), width) };
        dispatch!(sum_block(x, columns, j0, out));
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
    use crate::backend::host::kernels::testing::{assert_close, on_all_threads, product, random};
    use proptest::prelude::*;

    fn check(rows: usize, d_in: usize, d_out: usize, seed: u64) {
        let shape = LinearShape { rows, d_in, d_out };
        let (x, w) = (random(rows * d_in, seed), random(d_in * d_out, seed + 1));
        let (bias, dy) = (random(d_out, seed + 2), random(rows * d_out, seed + 3));
        let (dx0, dw0) = (random(rows * d_in, seed + 4), random(d_in * d_out, seed + 5));
        let r = on_all_threads(|| {
            let (mut y, mut plain) = (vec![9.0; rows * d_out], vec![9.0; rows * d_out]);
            linear_forward(shape, &x, Weight::Rows(&w), Some(&bias), &mut y);
            linear_forward(shape, &x, Weight::Rows(&w), None, &mut plain);
            let (mut pre, mut out, mut inference) =
                (vec![9.0; y.len()], vec![9.0; y.len()], vec![9.0; y.len()]);
            linear_activation_forward(shape, &x, &w, Some(&bias), Activation::GeluTanh, &mut pre, &mut out);
            linear_activation_inference(
                shape,
                &x,
                Weight::Rows(&w),
                Some(&bias),
                Activation::GeluTanh,
                &mut inference,
            );
            let (mut dx, mut dw, mut db) = (vec![9.0; x.len()], vec![9.0; w.len()], vec![9.0; d_out]);
            linear_backward_input(shape, &dy, &w, &mut dx, false);
            linear_backward_weight(shape, &x, &dy, &mut dw, false);
            linear_backward_bias(&dy, &mut db);
            let (mut dx_sum, mut dw_sum) = (dx0.clone(), dw0.clone());
            linear_backward_input(shape, &dy, &w, &mut dx_sum, true);
            linear_backward_weight(shape, &x, &dy, &mut dw_sum, true);
            vec![y, plain, pre, out, inference, dx, dw, db, dx_sum, dw_sum]
        });
        let plain = product((rows, d_out, d_in), |i, p| x[i * d_in + p], |p, j| w[p * d_out + j]);
        let y: Vec<f64> = plain.iter().enumerate().map(|(i, v)| v + f64::from(bias[i % d_out])).collect();
        let dx = product((rows, d_in, d_out), |i, p| dy[i * d_out + p], |p, j| w[j * d_out + p]);
        let dw = product((d_in, d_out, rows), |i, p| x[p * d_in + i], |p, j| dy[p * d_out + j]);
        let db = product((1, d_out, rows), |_, _| 1.0, |p, j| dy[p * d_out + j]);
        let plus = |a: &[f64], b: &[f32]| a.iter().zip(b).map(|(a, &b)| a + f64::from(b)).collect::<Vec<_>>();
        assert_close(&r[0], &y, 1e-5);
        assert_close(&r[1], &plain, 1e-5);
        assert_eq!(r[0], r[2]);
        let mut activated = r[2].clone();
        activation::activation_forward(Activation::GeluTanh, &mut activated);
        assert_eq!(r[3], activated);
        assert_eq!(r[4], activated);
        assert_close(&r[5], &dx, 1e-5);
        assert_close(&r[6], &dw, 1e-5);
        assert_close(&r[7], &db, 1e-5);
        assert_close(&r[8], &plus(&dx, &dx0), 1e-5);
        assert_close(&r[9], &plus(&dw, &dw0), 1e-5);
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
}
