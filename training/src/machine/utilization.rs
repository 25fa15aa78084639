//! Model FLOPs utilisation: how much of what the device can do goes into the model.

use std::time::{Duration, Instant};

use burn::tensor::{Distribution, Tensor};
use kiln_model::{Backend, ComputePrecision};

/// A product of this size or more is long enough to be timed.
const LONG_ENOUGH: Duration = Duration::from_millis(20);
/// Sizes of the square matrices that are tried, up to the first that takes long enough.
const SIZES: [usize; 5] = [512, 1024, 2048, 4096, 8192];
/// Products that are timed; the fastest counts.
const REPETITIONS: usize = 5;

/// Tokens a second that `device` would train on if all of a step went as fast as large matrix products in this precision. Times
/// a few of those, in a fraction of a second.
pub(crate) fn peak_tokens_per_second<B: Backend>(
    flops_per_token: f64,
    precision: ComputePrecision,
    device: &B::Device,
) -> f64 {
    matmul_flops_per_second::<B>(precision, device) / flops_per_token
}

/// Floating-point operations a second in square matrix products, the fastest of a few.
pub(crate) fn matmul_flops_per_second<B: Backend>(precision: ComputePrecision, device: &B::Device) -> f64 {
    let flops_per_second = SIZES.iter().try_fold(0.0, |_, size| {
        // Not of equal numbers: a GPU is faster with those.
        let square = || {
            let square = Tensor::<B, 2>::random([*size, *size], Distribution::Default, device);
            let dtype = precision.stream().unwrap_or(square.dtype());
            square.cast(dtype).into_primitive().tensor()
        };
        let (left, right) = (square(), square());
        let product = || {
            let started = Instant::now();
            let (output, _) = B::linear_forward(left.clone(), right.clone(), None, None);
            drop(output);
            // An error will show in the first step.
            let _ = B::sync(device);
            started.elapsed()
        };
        let first = product();
        let fastest = (1..REPETITIONS).map(|_| product()).chain([first]).min().unwrap_or(first);
        let rate = 2.0 * (*size as f64).powi(3) / fastest.as_secs_f64();
        if fastest < LONG_ENOUGH { Ok(rate) } else { Err(rate) }
    });
    let (Ok(flops_per_second) | Err(flops_per_second)) = flops_per_second;
    flops_per_second
}
