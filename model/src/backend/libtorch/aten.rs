//! Functions of libtorch that its Rust bindings leave out; `aten.cpp` passes them on.

use std::ffi::{CStr, c_char};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::backend::AdamWStep;

/// What went wrong, or null.
type Message = *const c_char;

// SAFETY: these are the functions of aten.cpp, which is linked in, with its types.
#[allow(unsafe_code)]
unsafe extern "C" {
    fn kiln_layer_norm_backward(
        outputs: *mut *mut C_tensor,
        gradient: *const C_tensor,
        input: *const C_tensor,
        mean: *const C_tensor,
        rstd: *const C_tensor,
        weight: *const C_tensor,
    ) -> Message;
    fn kiln_attention(
        outputs: *mut *mut C_tensor,
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        scale: f64,
        dropout: f64,
        half: bool,
    ) -> Message;
    fn kiln_attention_backward(
        outputs: *mut *mut C_tensor,
        gradient: *const C_tensor,
        query: *const C_tensor,
        key: *const C_tensor,
        value: *const C_tensor,
        forward: *const *const C_tensor,
        scale: f64,
        dropout: f64,
        half: bool,
    ) -> Message;
    fn kiln_adamw(
        parameter: *const C_tensor,
        gradient: *const C_tensor,
        first_moment: *const C_tensor,
        second_moment: *const C_tensor,
        step: f64,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
    ) -> Message;
    fn kiln_allow_tf32(allow: bool) -> Message;
}

/// The gradients of input, weight and bias; all tensors contiguous, in one type, but for the statistics in f32.
pub(super) fn layer_norm_backward(
    gradient: &Tensor,
    [input, mean, rstd]: &[Tensor; 3],
    weight: &Tensor,
) -> [Tensor; 3] {
    // SAFETY: the function borrows live tensors and hands out three.
    #[allow(unsafe_code)]
    collect(|outputs| unsafe {
        kiln_layer_norm_backward(
            outputs,
            gradient.as_ptr(),
            input.as_ptr(),
            mean.as_ptr(),
            rstd.as_ptr(),
            weight.as_ptr(),
        )
    })
}

/// Causal attention in one kernel of a GPU. The first tensor is the output; all four are for the backward pass.
pub(super) fn attention([query, key, value]: &[Tensor; 3], scale: f64, dropout: f64) -> [Tensor; 4] {
    let half = is_half(query);
    // SAFETY: the function borrows live tensors and hands out four.
    #[allow(unsafe_code)]
    collect(|outputs| unsafe {
        kiln_attention(outputs, query.as_ptr(), key.as_ptr(), value.as_ptr(), scale, dropout, half)
    })
}

/// The gradients of query, key and value.
pub(super) fn attention_backward(
    gradient: &Tensor,
    [query, key, value]: &[Tensor; 3],
    forward: &[Tensor; 4],
    scale: f64,
    dropout: f64,
) -> [Tensor; 3] {
    let half = is_half(query);
    let forward = forward.each_ref().map(Tensor::as_ptr);
    // SAFETY: the function borrows live tensors, four of them through `forward`, and hands out three.
    #[allow(unsafe_code)]
    collect(|outputs| unsafe {
        kiln_attention_backward(
            outputs,
            gradient.as_ptr(),
            query.as_ptr(),
            key.as_ptr(),
            value.as_ptr(),
            forward.as_ptr(),
            scale,
            dropout,
            half,
        )
    })
}

/// AdamW in one kernel: parameter and moments are overwritten. The gradient comes scaled.
pub(super) fn adamw(
    parameter: &mut Tensor,
    gradient: &Tensor,
    first_moment: &mut Tensor,
    second_moment: &mut Tensor,
    numbers: AdamWStep,
) {
    let AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, step, .. } = numbers;
    // SAFETY: the function borrows live tensors, and writes to those that are lent to be written to.
    #[allow(unsafe_code)]
    check(unsafe {
        kiln_adamw(
            parameter.as_ptr(),
            gradient.as_ptr(),
            first_moment.as_ptr(),
            second_moment.as_ptr(),
            step as f64,
            learning_rate,
            beta1,
            beta2,
            weight_decay,
            epsilon,
        )
    });
}

/// Lets products of f32 on a GPU round their factors to TF32, or not, for the whole process.
pub(super) fn allow_tf32(allow: bool) {
    // SAFETY: the function takes no pointer.
    #[allow(unsafe_code)]
    check(unsafe { kiln_allow_tf32(allow) });
}

/// Whether the type is one of 16 bits.
fn is_half(tensor: &Tensor) -> bool {
    matches!(tensor.kind(), tch::Kind::BFloat16 | tch::Kind::Half)
}

fn collect<const N: usize>(call: impl FnOnce(*mut *mut C_tensor) -> Message) -> [Tensor; N] {
    let mut outputs = [std::ptr::null_mut(); N];
    check(call(outputs.as_mut_ptr()));
    // SAFETY: the call has put a tensor of its own into each place.
    #[allow(unsafe_code)]
    outputs.map(|output| unsafe { Tensor::from_ptr(output) })
}

/// # Panics
///
/// With what libtorch says, as its bindings do.
fn check(message: Message) {
    if message.is_null() {
        return;
    }
    // SAFETY: a string of C that lives until this thread's next call.
    #[allow(unsafe_code)]
    let text = unsafe { CStr::from_ptr(message) };
    panic!("libtorch: {}", text.to_string_lossy());
}
