//! AdamW in place.

use burn::tensor::ops::FloatTensor;
use burn_tch::TchTensor;
use tch::{Device, Kind};

use super::memory::{values, values_mut};
use super::{TorchBackend, aten};
use crate::backend::host::operations::adamw_update;
use crate::backend::{AdamWStep, portable};

/// `Σ x²` in one pass.
pub(in crate::backend) fn sum_of_squares<B: TorchBackend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let flat = tensor.tensor.reshape([-1]);
    TchTensor::new(flat.dot(&flat).to_kind(Kind::Float).reshape([1]))
}

/// One pass: on the CPU of Kiln's kernel over libtorch's memory, on an NVIDIA GPU of libtorch's.
pub(in crate::backend) fn adamw_step<B: TorchBackend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first_moment: FloatTensor<B>,
    second_moment: FloatTensor<B>,
    step: AdamWStep,
) -> [FloatTensor<B>; 3] {
    let contiguous = gradient.tensor.contiguous();
    let [mut parameter, mut first, mut second] = [parameter, first_moment, second_moment].map(own);
    if matches!(contiguous.device(), Device::Cuda(_)) {
        let [parameter_mut, first_mut, second_mut] =
            [&mut parameter, &mut first, &mut second].map(|tensor| &mut tensor.tensor);
        let gradient = if step.gradient_scale == 1.0 { contiguous } else { contiguous * step.gradient_scale };
        aten::adamw(parameter_mut, &gradient, first_mut, second_mut, step);
        return [parameter, first, second];
    }
    if let [Some(mut parameter), Some(mut first), Some(mut second)] = [&parameter, &first, &second].map(plain)
        && let Some(gradient) = values(&contiguous)
    {
        // SAFETY: `own` made each of them the only tensor on its memory; `plain` hands out another name of
        // the same tensor.
        #[allow(unsafe_code)]
        let parts = unsafe { (values_mut(&mut parameter), values_mut(&mut first), values_mut(&mut second)) };
        let (Some(parameter), Some(first), Some(second)) = parts else {
            unreachable!("`plain` has seen that their memory can be lent")
        };
        adamw_update(step, parameter, gradient, first, second);
    } else {
        return portable::adamw_step::<B>(parameter, gradient, first, second, step);
    }
    [parameter, first, second]
}

/// The tensor, copied if someone else holds it too.
fn own(tensor: TchTensor) -> TchTensor {
    if tensor.can_mut() && tensor.tensor.is_contiguous() {
        tensor
    } else {
        TchTensor::new(tensor.tensor.contiguous().copy())
    }
}

/// The tensor itself if its memory can be lent.
fn plain(tensor: &TchTensor) -> Option<tch::Tensor> {
    values(&tensor.tensor).map(|_| tensor.tensor.shallow_clone())
}
