//! One vector.

use std::ops::{Add, Div, Mul, Neg, Sub};

use pulp::Simd;

/// One vector of `f32` lanes with arithmetic operators.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<S: Simd> {
    simd: S,
    /// The raw vector.
    pub(crate) v: S::f32s,
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:ident) => {
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self { simd: self.simd, v: self.simd.$op(self.v, other.v) }
            }
        }
    };
}
operator!(Add, add, add_f32s);
operator!(Sub, sub, sub_f32s);
operator!(Mul, mul, mul_f32s);
operator!(Div, div, div_f32s);

impl<S: Simd> Neg for Lanes<S> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        let sign = self.simd.splat_f32s(-0.0);
        Self { simd: self.simd, v: self.simd.xor_f32s(self.v, sign) }
    }
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, v: S::f32s) -> Self {
        Self { simd, v }
    }

    #[inline(always)]
    pub(crate) fn splat(simd: S, x: f32) -> Self {
        Self { simd, v: simd.splat_f32s(x) }
    }

    /// The elements of a slice shorter than a vector, followed by zeros.
    #[inline(always)]
    pub(crate) fn load(simd: S, slice: &[f32]) -> Self {
        Self { simd, v: simd.partial_load_f32s(slice) }
    }

    /// `c[0]·selfⁿ⁻¹ + … + c[n − 1]`.
    #[inline(always)]
    pub(crate) fn polynomial<const N: usize>(self, c: &[f32; N]) -> Self {
        let mut p = self.like(c[0]);
        let mut i = 1;
        while i < N {
            p = p.mul_add(self, self.like(c[i]));
            i += 1;
        }
        p
    }

    /// `x` in every lane, taking the instruction set from `self`.
    #[inline(always)]
    pub(crate) fn like(self, x: f32) -> Self {
        Self::splat(self.simd, x)
    }

    /// `self * b + c`, fused where the processor has it.
    #[inline(always)]
    pub(crate) fn mul_add(self, b: Self, c: Self) -> Self {
        Self { simd: self.simd, v: self.simd.mul_add_e_f32s(self.v, b.v, c.v) }
    }

    #[inline(always)]
    pub(crate) fn max(self, other: Self) -> Self {
        Self { simd: self.simd, v: self.simd.max_f32s(self.v, other.v) }
    }

    #[inline(always)]
    pub(crate) fn min(self, other: Self) -> Self {
        Self { simd: self.simd, v: self.simd.min_f32s(self.v, other.v) }
    }

    #[inline(always)]
    pub(crate) fn sqrt(self) -> Self {
        Self { simd: self.simd, v: self.simd.sqrt_f32s(self.v) }
    }

    #[inline(always)]
    pub(crate) fn abs(self) -> Self {
        let magnitude = self.simd.splat_f32s(f32::from_bits(0x7fff_ffff));
        Self { simd: self.simd, v: self.simd.and_f32s(self.v, magnitude) }
    }

    /// The magnitude of `self` with the sign of `sign`; `self` must not be negative.
    #[inline(always)]
    pub(crate) fn with_sign_of(self, sign: Self) -> Self {
        let bit = self.simd.and_f32s(sign.v, self.simd.splat_f32s(-0.0));
        Self { simd: self.simd, v: self.simd.or_f32s(self.v, bit) }
    }

    /// `if self < limit { yes } else { no }` in every lane.
    #[inline(always)]
    pub(crate) fn if_less(self, limit: Self, yes: Self, no: Self) -> Self {
        let mask = self.simd.less_than_f32s(self.v, limit.v);
        Self { simd: self.simd, v: self.simd.select_f32s(mask, yes.v, no.v) }
    }

    /// `result` where `self` is a number, `self` where it is NaN.
    #[inline(always)]
    pub(crate) fn keep_nan(self, result: Self) -> Self {
        let mask = self.simd.equal_f32s(self.v, self.v);
        Self { simd: self.simd, v: self.simd.select_f32s(mask, result.v, self.v) }
    }

    /// 2ⁿ for an integer-valued lane n in −126 ..= 127.
    #[inline(always)]
    pub(crate) fn exp2_integer(self) -> Self {
        // Adding 1.5·2²³ leaves the integer (here with the exponent bias) in the low bits of the significand.
        let biased = self + self.like(12_582_912.0 + 127.0);
        let bits = self.simd.transmute_u32s_f32s(biased.v);
        let bits = self.simd.wrapping_dyn_shl_u32s(bits, self.simd.splat_u32s(23));
        Self { simd: self.simd, v: self.simd.transmute_f32s_u32s(bits) }
    }

    /// The nearest integer, for magnitudes below 2²².
    #[inline(always)]
    pub(crate) fn round(self) -> Self {
        let magic = self.like(12_582_912.0);
        (self + magic) - magic
    }

    #[inline(always)]
    pub(crate) fn sum(self) -> f32 {
        self.simd.reduce_sum_f32s(self.v)
    }
}
