//! One kernel body, compiled for every instruction set, chosen at run time.
//!
//! A body is an `#[inline(always)]` function generic over [`Simd`]; [`dispatch!`] calls the instance for the widest
//! instruction set that the processor has (AVX-512, AVX2 + FMA, NEON, or plain scalar code).

use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::OnceLock;

pub(crate) use pulp::Simd;

/// The widest instruction set of this processor, detected once. The variable `KILN_SIMD` narrows it to `scalar` or, on x86-64, `avx2`: that is how
/// one machine tests them all.
pub(crate) fn arch() -> pulp::Arch {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    *ARCH.get_or_init(|| match std::env::var("KILN_SIMD").as_deref() {
        Ok("scalar") => pulp::Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("avx2") => pulp::x86::V3::try_new().map_or(pulp::Arch::Scalar, pulp::Arch::V3),
        _ => pulp::Arch::new(),
    })
}

/// Moved into the closures of [`dispatch!`], which makes them callable once only: a closure that could be called again goes through
/// a shim that is never inlined, and then its body would not be compiled for the instruction set.
pub(crate) struct Once;

/// Calls `body(simd, args…)` with the instruction set of this processor enabled inside it.
macro_rules! dispatch {
    ($body:ident ( $($arg:expr),* $(,)? )) => {
        match $crate::backend::host::kernels::simd::arch() {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V4(simd) => {
                let once = $crate::backend::host::kernels::simd::Once;
                simd.vectorize(#[inline(always)] || { let _moved = { once }; $body(simd, $($arg),*) })
            }
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V3(simd) => {
                let once = $crate::backend::host::kernels::simd::Once;
                simd.vectorize(#[inline(always)] || { let _moved = { once }; $body(simd, $($arg),*) })
            }
            #[cfg(target_arch = "aarch64")]
            pulp::Arch::Neon(simd) => $body(simd, $($arg),*),
            _ => $body(pulp::Scalar, $($arg),*),
        }
    };
}
pub(crate) use dispatch;

/// Asks for the cache line at `pointer`, which may point anywhere.
#[inline(always)]
pub(crate) fn prefetch<T>(pointer: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(pointer.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = pointer;
}

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

/// `Σ f(x[i], y[i])`, in an order that depends on the length alone. Lanes past the end enter as `f(0, 0)`.
#[inline(always)]
pub(crate) fn sum2<S: Simd>(
    simd: S,
    x: &[f32],
    y: &[f32],
    f: impl Fn(Lanes<S>, Lanes<S>) -> Lanes<S>,
) -> f32 {
    assert_eq!(x.len(), y.len());
    let (x_head, x_tail) = S::as_simd_f32s(x);
    let (y_head, y_tail) = S::as_simd_f32s(y);
    let mut total = [Lanes::splat(simd, 0.0); CHAINS];
    let (x_blocks, x_rest) = x_head.as_chunks::<CHAINS>();
    let (y_blocks, y_rest) = y_head.as_chunks::<CHAINS>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for i in 0..CHAINS {
            total[i] = total[i] + f(Lanes::new(simd, x[i]), Lanes::new(simd, y[i]));
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        total[0] = total[0] + f(Lanes::new(simd, *x), Lanes::new(simd, *y));
    }
    if !x_tail.is_empty() {
        let x = Lanes::load(simd, x_tail);
        let y = Lanes::load(simd, y_tail);
        total[1] = total[1] + f(x, y);
    }
    ((total[0] + total[1]) + (total[2] + total[3])).sum()
}

/// `Σ f(x[i], y[i], z[i])`, in an order that depends on the length alone. Lanes past the end enter as `f(0, 0, 0)`.
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

/// `Σ x[i]·y[i]`, in an order that depends on the length alone.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len());
    let (x_head, x_tail) = S::as_simd_f32s(x);
    let (y_head, y_tail) = S::as_simd_f32s(y);
    let mut total = [Lanes::splat(simd, 0.0); CHAINS];
    let (x_blocks, x_rest) = x_head.as_chunks::<CHAINS>();
    let (y_blocks, y_rest) = y_head.as_chunks::<CHAINS>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for i in 0..CHAINS {
            total[i] = Lanes::new(simd, x[i]).mul_add(Lanes::new(simd, y[i]), total[i]);
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        total[0] = Lanes::new(simd, *x).mul_add(Lanes::new(simd, *y), total[0]);
    }
    if !x_tail.is_empty() {
        let x = Lanes::load(simd, x_tail);
        let y = Lanes::load(simd, y_tail);
        total[1] = x.mul_add(y, total[1]);
    }
    ((total[0] + total[1]) + (total[2] + total[3])).sum()
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
