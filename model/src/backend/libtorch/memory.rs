//! libtorch's memory on the CPU, as slices.

use tch::{Device, Kind, Tensor};

/// The values of a tensor that lies row by row in f32 in this process's memory; `None` for any other.
pub(super) fn values(tensor: &Tensor) -> Option<&[f32]> {
    let plain = is_plain(tensor);
    // SAFETY: a contiguous tensor of `numel` f32 on the CPU; the slice borrows the tensor that keeps it
    // alive, and nobody writes to it meanwhile: in-place operations take their tensors by value.
    #[allow(unsafe_code)]
    plain.then(|| unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), tensor.numel()) })
}

/// The values to write into; `None` as for [`values`].
///
/// # Safety
/// No other tensor shares this one's memory.
#[allow(unsafe_code)]
pub(super) unsafe fn values_mut(tensor: &mut Tensor) -> Option<&mut [f32]> {
    let plain = is_plain(tensor);
    // SAFETY: a contiguous tensor of `numel` f32 on the CPU, which nobody else reads or writes, as the caller
    // promises.
    plain.then(|| unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), tensor.numel()) })
}

/// An empty tensor has no memory to point to.
fn is_plain(tensor: &Tensor) -> bool {
    let f32_on_cpu = tensor.device() == Device::Cpu && tensor.kind() == Kind::Float;
    f32_on_cpu && tensor.is_contiguous() && tensor.numel() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code)]
    fn only_plain_memory_is_lent() {
        let mut tensor = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).reshape([2, 2]);
        assert_eq!(values(&tensor), Some([1.0, 2.0, 3.0, 4.0].as_slice()));
        assert!(values(&tensor.transpose(0, 1)).is_none());
        assert!(values(&tensor.to_kind(Kind::Double)).is_none());
        // SAFETY: the only tensor on its memory.
        let lent = unsafe { values_mut(&mut tensor) };
        lent.expect("plain memory")[3] = 9.0;
        assert_eq!(values(&tensor), Some([1.0, 2.0, 3.0, 9.0].as_slice()));
    }
}
