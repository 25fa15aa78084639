//! Slices, vector by vector.
//!
//! Each number of slices has a function of its own, written out so that the compiler keeps all of them in
//! registers; a function over a list of slices would not be.

use pulp::Simd;

use super::Lanes;

/// `y[i] = f(y[i])`.
#[inline(always)]
pub(crate) fn map<S: Simd>(simd: S, y: &mut [f32], f: impl Fn(Lanes<S>) -> Lanes<S>) {
    let (head, tail) = S::as_mut_simd_f32s(y);
    for v in head {
        *v = f(Lanes::new(simd, *v)).v;
    }
    if !tail.is_empty() {
        let v = Lanes::load(simd, tail);
        simd.partial_store_f32s(tail, f(v).v);
    }
}

/// `y[i] = f(y[i], x[i])`.
#[inline(always)]
pub(crate) fn map2<S: Simd>(simd: S, y: &mut [f32], x: &[f32], f: impl Fn(Lanes<S>, Lanes<S>) -> Lanes<S>) {
    assert_eq!(y.len(), x.len());
    let (y_head, y_tail) = S::as_mut_simd_f32s(y);
    let (x_head, x_tail) = S::as_simd_f32s(x);
    for (y, x) in y_head.iter_mut().zip(x_head) {
        *y = f(Lanes::new(simd, *y), Lanes::new(simd, *x)).v;
    }
    if !y_tail.is_empty() {
        let y = Lanes::load(simd, y_tail);
        let x = Lanes::load(simd, x_tail);
        simd.partial_store_f32s(y_tail, f(y, x).v);
    }
}

/// `y[i] = f(y[i], a[i], b[i])`.
#[inline(always)]
pub(crate) fn map3<S: Simd>(
    simd: S,
    y: &mut [f32],
    a: &[f32],
    b: &[f32],
    f: impl Fn(Lanes<S>, Lanes<S>, Lanes<S>) -> Lanes<S>,
) {
    assert!(y.len() == a.len() && y.len() == b.len());
    let (y_head, y_tail) = S::as_mut_simd_f32s(y);
    let (a_head, a_tail) = S::as_simd_f32s(a);
    let (b_head, b_tail) = S::as_simd_f32s(b);
    for ((y, a), b) in y_head.iter_mut().zip(a_head).zip(b_head) {
        *y = f(Lanes::new(simd, *y), Lanes::new(simd, *a), Lanes::new(simd, *b)).v;
    }
    if !y_tail.is_empty() {
        let y = Lanes::load(simd, y_tail);
        let a = Lanes::load(simd, a_tail);
        let b = Lanes::load(simd, b_tail);
        simd.partial_store_f32s(y_tail, f(y, a, b).v);
    }
}

/// `y[i] = f(y[i], a[i], b[i], c[i])`.
#[inline(always)]
pub(crate) fn map4<S: Simd>(
    simd: S,
    y: &mut [f32],
    a: &[f32],
    b: &[f32],
    c: &[f32],
    f: impl Fn(Lanes<S>, Lanes<S>, Lanes<S>, Lanes<S>) -> Lanes<S>,
) {
    assert!(y.len() == a.len() && y.len() == b.len() && y.len() == c.len());
    let (y_head, y_tail) = S::as_mut_simd_f32s(y);
    let (a_head, a_tail) = S::as_simd_f32s(a);
    let (b_head, b_tail) = S::as_simd_f32s(b);
    let (c_head, c_tail) = S::as_simd_f32s(c);
    for (((y, a), b), c) in y_head.iter_mut().zip(a_head).zip(b_head).zip(c_head) {
        *y = f(Lanes::new(simd, *y), Lanes::new(simd, *a), Lanes::new(simd, *b), Lanes::new(simd, *c)).v;
    }
    if !y_tail.is_empty() {
        let y = Lanes::load(simd, y_tail);
        let a = Lanes::load(simd, a_tail);
        let b = Lanes::load(simd, b_tail);
        let c = Lanes::load(simd, c_tail);
        simd.partial_store_f32s(y_tail, f(y, a, b, c).v);
    }
}

/// Number of independent accumulators in a reduction: enough to hide the latency of an addition.
const CHAINS: usize = 4;

/// The sum of what `add` makes of a running sum and each pair of elements, in an order that depends on the length
/// alone. Lanes past the end enter as zeros.
#[inline(always)]
fn fold2<S: Simd>(
    simd: S,
    x: &[f32],
    y: &[f32],
    add: impl Fn(Lanes<S>, Lanes<S>, Lanes<S>) -> Lanes<S>,
) -> f32 {
    assert_eq!(x.len(), y.len());
    let (x_head, x_tail) = S::as_simd_f32s(x);
    let (y_head, y_tail) = S::as_simd_f32s(y);
    let mut total = [Lanes::splat(simd, 0.0); CHAINS];
    let (x_blocks, x_rest) = x_head.as_chunks::<CHAINS>();
    let (y_blocks, y_rest) = y_head.as_chunks::<CHAINS>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for i in 0..CHAINS {
            total[i] = add(total[i], Lanes::new(simd, x[i]), Lanes::new(simd, y[i]));
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        total[0] = add(total[0], Lanes::new(simd, *x), Lanes::new(simd, *y));
    }
    if !x_tail.is_empty() {
        let x = Lanes::load(simd, x_tail);
        let y = Lanes::load(simd, y_tail);
        total[1] = add(total[1], x, y);
    }
    ((total[0] + total[1]) + (total[2] + total[3])).sum()
}

/// `Σ f(x[i], y[i])`, summed as by [`fold2`].
#[inline(always)]
pub(crate) fn sum2<S: Simd>(
    simd: S,
    x: &[f32],
    y: &[f32],
    f: impl Fn(Lanes<S>, Lanes<S>) -> Lanes<S>,
) -> f32 {
    fold2(
        simd,
        x,
        y,
        #[inline(always)]
        |total, x, y| total + f(x, y),
    )
}

/// `Σ f(x[i], y[i], z[i])`, in an order that depends on the length alone. Lanes past the end enter as zeros.
#[inline(always)]
pub(crate) fn sum3<S: Simd>(
    simd: S,
    x: &[f32],
    y: &[f32],
    z: &[f32],
    f: impl Fn(Lanes<S>, Lanes<S>, Lanes<S>) -> Lanes<S>,
) -> f32 {
    assert!(x.len() == y.len() && x.len() == z.len());
    let (x_head, x_tail) = S::as_simd_f32s(x);
    let (y_head, y_tail) = S::as_simd_f32s(y);
    let (z_head, z_tail) = S::as_simd_f32s(z);
    let mut total = [Lanes::splat(simd, 0.0); CHAINS];
    let (x_blocks, x_rest) = x_head.as_chunks::<CHAINS>();
    let (y_blocks, y_rest) = y_head.as_chunks::<CHAINS>();
    let (z_blocks, z_rest) = z_head.as_chunks::<CHAINS>();
    for ((x, y), z) in x_blocks.iter().zip(y_blocks).zip(z_blocks) {
        for i in 0..CHAINS {
            total[i] = total[i] + f(Lanes::new(simd, x[i]), Lanes::new(simd, y[i]), Lanes::new(simd, z[i]));
        }
    }
    for ((x, y), z) in x_rest.iter().zip(y_rest).zip(z_rest) {
        total[0] = total[0] + f(Lanes::new(simd, *x), Lanes::new(simd, *y), Lanes::new(simd, *z));
    }
    if !x_tail.is_empty() {
        let x = Lanes::load(simd, x_tail);
        let y = Lanes::load(simd, y_tail);
        let z = Lanes::load(simd, z_tail);
        total[1] = total[1] + f(x, y, z);
    }
    ((total[0] + total[1]) + (total[2] + total[3])).sum()
}

/// `Σ x[i]`, in an order that depends on the length alone.
#[inline(always)]
pub(crate) fn sum<S: Simd>(simd: S, x: &[f32]) -> f32 {
    sum2(
        simd,
        x,
        x,
        #[inline(always)]
        |x, _| x,
    )
}

/// `Σ x[i]·y[i]`, summed as by [`fold2`].
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, x: &[f32], y: &[f32]) -> f32 {
    fold2(
        simd,
        x,
        y,
        #[inline(always)]
        |total, x, y| x.mul_add(y, total),
    )
}

/// The largest element; −∞ for an empty slice.
#[inline(always)]
pub(crate) fn max<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let (head, tail) = S::as_simd_f32s(x);
    let mut top = [Lanes::splat(simd, f32::NEG_INFINITY); 2];
    let (pairs, rest) = head.as_chunks::<2>();
    for pair in pairs {
        top[0] = top[0].max(Lanes::new(simd, pair[0]));
        top[1] = top[1].max(Lanes::new(simd, pair[1]));
    }
    for v in rest {
        top[0] = top[0].max(Lanes::new(simd, *v));
    }
    let mut result = simd.reduce_max_f32s(top[0].max(top[1]).v);
    for &v in tail {
        result = result.max(v);
    }
    result
}
