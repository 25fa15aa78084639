//! Which instance of a kernel runs.

use std::sync::OnceLock;

/// The widest instruction set of this processor, detected once. The variable `KILN_SIMD` narrows it to
/// `scalar` or, on x86-64, `avx2`, so that one machine can test them all.
pub(crate) fn arch() -> pulp::Arch {
    static ARCH: OnceLock<pulp::Arch> = OnceLock::new();
    *ARCH.get_or_init(|| match std::env::var("KILN_SIMD").as_deref() {
        Ok("scalar") => pulp::Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("avx2") => pulp::x86::V3::try_new().map_or(pulp::Arch::Scalar, pulp::Arch::V3),
        _ => pulp::Arch::new(),
    })
}

/// Moved into the closures of [`dispatch!`], so that they can be called only once: a closure that could be
/// called again goes through a shim that is never inlined, and then its body would not be compiled for the
/// instruction set.
pub(crate) struct Once;

/// Calls `body(simd, args…)` with the instruction set of this processor enabled inside it.
macro_rules! dispatch {
    ($body:ident ( $($arg:expr),* $(,)? )) => {
        match $crate::backend::host::kernels::machine::simd::arch() {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V4(simd) => {
                let once = $crate::backend::host::kernels::machine::simd::Once;
                simd.vectorize(#[inline(always)] || { let _moved = { once }; $body(simd, $($arg),*) })
            }
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V3(simd) => {
                let once = $crate::backend::host::kernels::machine::simd::Once;
                simd.vectorize(#[inline(always)] || { let _moved = { once }; $body(simd, $($arg),*) })
            }
            #[cfg(target_arch = "aarch64")]
            pulp::Arch::Neon(simd) => $body(simd, $($arg),*),
            _ => $body(pulp::Scalar, $($arg),*),
        }
    };
}
pub(crate) use dispatch;

/// Prefetches the cache line at `pointer`, which may point anywhere.
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
