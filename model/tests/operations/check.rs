//! An operation against itself: native against portable, backward pass against difference quotients.

use burn::tensor::backend::BackendTypes;
use burn::tensor::{Element, Tensor, TensorData, TensorPrimitive};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::Backend;
use proptest::prelude::*;

/// ndarray in f64, for which there are no kernels: the portable operations with twice the digits.
pub type Reference = NdArray<f64>;

/// Largest relative error of an f32 kernel, in units of the largest value of the result or of the inputs: where terms of
/// the inputs' size cancel, their rounding stays.
pub const TOLERANCE: f64 = 1e-5;
/// Largest input.
pub const LARGEST: f64 = 1.51;
/// Half-width of the difference quotient; its error is of the order of its square.
const STEP: f64 = 1e-5;
/// Quotients of f64 losses of order 1 are good to about 1e-10 / STEP.
const QUOTIENT_TOLERANCE: f64 = 1e-6;

pub type Primitive<B> = <B as BackendTypes>::FloatTensorPrimitive;

/// An operation on flat inputs, generic over the backend; gives its output.
pub trait Operation {
    fn run<B: Backend>(&self, inputs: &[Tensor<B, 1>]) -> Tensor<B, 1>;
}

pub fn shaped<B: Backend, const D: usize>(flat: &Tensor<B, 1>, shape: [usize; D]) -> Primitive<B> {
    flat.clone().reshape(shape).into_primitive().tensor()
}

pub fn flat<B: Backend>(primitive: Primitive<B>, elements: usize) -> Tensor<B, 1> {
    let shape = burn::tensor::Shape::new([elements]);
    Tensor::from_primitive(TensorPrimitive::Float(B::float_reshape(primitive, shape)))
}

pub fn numbers<B: Backend>(tensor: Tensor<B, 1>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Values in ±[`LARGEST`], away from the corner of relu, that f32 holds exactly, so that all sides see the same ones.
pub fn values(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let value = (state >> 40) as f32 / (1 << 24) as f32 * 3.0 - 1.5;
            f64::from(value + 0.01f32.copysign(value))
        })
        .collect()
}

/// A tensor of the backend's own float type. Without it, ndarray in f32 and in f64 would share the type of the one
/// that came first in this process: it belongs to the device.
pub fn tensor<B: Backend, const D: usize>(values: &[f64], shape: [usize; D]) -> Tensor<B, D> {
    let device = Default::default();
    let dtype = <B::FloatElem as Element>::dtype();
    let tensor = Tensor::from_data(TensorData::new(values.to_vec(), shape), (&device, dtype));
    assert_eq!(tensor.dtype(), dtype);
    tensor
}

fn tensors<B: Backend>(inputs: &[Vec<f64>]) -> Vec<Tensor<B, 1>> {
    inputs.iter().map(|values| tensor(values, [values.len()])).collect()
}

/// A scalar in which every element of `output` weighs differently.
fn weigh<B: Backend>(output: Tensor<B, 1>) -> Tensor<B, 1> {
    let [elements] = output.dims();
    let weights: Vec<f64> = (0..elements).map(|element| (element as f64 * 0.7).sin() + 0.1).collect();
    (output * tensor(&weights, [elements])).sum()
}

/// Output, and the gradient of each input, `None` where the operation leaves it untouched, or where it is frozen.
fn forward_and_backward<B: Backend>(
    operation: &impl Operation,
    inputs: &[Vec<f64>],
    frozen: Option<usize>,
) -> (Vec<f64>, Vec<Option<Vec<f64>>>) {
    let tensors = tensors::<Autodiff<B>>(inputs).into_iter().enumerate();
    let tensors: Vec<_> = tensors
        .map(|(index, tensor)| if frozen == Some(index) { tensor } else { tensor.require_grad() })
        .collect();
    let output = operation.run(&tensors);
    let gradients = weigh(output.clone()).backward();
    let gradients = tensors.iter().map(|tensor| tensor.grad(&gradients).map(numbers)).collect();
    (numbers(output), gradients)
}

/// With all inputs learning, and with each of several frozen in turn.
fn compare<B: Backend>(operation: &impl Operation, inputs: &[Vec<f64>]) -> Result<(), TestCaseError> {
    compare_frozen::<B>(operation, inputs, None)?;
    if inputs.len() > 1 {
        for index in 0..inputs.len() {
            compare_frozen::<B>(operation, inputs, Some(index))?;
        }
    }
    Ok(())
}

fn compare_frozen<B: Backend>(
    operation: &impl Operation,
    inputs: &[Vec<f64>],
    frozen: Option<usize>,
) -> Result<(), TestCaseError> {
    // The reference computes all gradients, and those of what is frozen are left out.
    let (reference, mut reference_gradients) = forward_and_backward::<Reference>(operation, inputs, None);
    if let Some(frozen) = frozen {
        reference_gradients[frozen] = None;
    }
    let (ours, gradients) = forward_and_backward::<B>(operation, inputs, frozen);
    let references = std::iter::once(Some(reference)).chain(reference_gradients);
    let all = std::iter::once(Some(ours)).chain(gradients);
    for (index, (ours, reference)) in all.zip(references).enumerate() {
        prop_assert_eq!(ours.is_some(), reference.is_some());
        let (Some(ours), Some(reference)) = (ours, reference) else { continue };
        prop_assert_eq!(ours.len(), reference.len());
        let scale = reference.iter().fold(LARGEST, |largest, value| largest.max(value.abs()));
        for (element, (ours, reference)) in ours.iter().zip(&reference).enumerate() {
            prop_assert!(
                (ours - reference).abs() <= TOLERANCE * scale,
                "result {index}, element {element}: {ours} against {reference}, largest {scale}"
            );
        }
    }
    Ok(())
}

/// Asserts that each native operation of the build computes what the portable one does, forward and backward.
pub fn native_equals_portable(operation: &impl Operation, inputs: &[Vec<f64>]) -> Result<(), TestCaseError> {
    compare::<NdArray>(operation, inputs)?;
    // The portable operations leave out what is frozen, too.
    compare::<Reference>(operation, inputs)?;
    #[cfg(feature = "flex")]
    compare::<burn_flex::Flex>(operation, inputs)?;
    #[cfg(feature = "tch")]
    compare::<burn_tch::LibTorch>(operation, inputs)?;
    Ok(())
}

/// Asserts that the portable backward pass gives the slopes of the forward pass, in f64.
pub fn gradients_equal_quotients(
    operation: &impl Operation,
    inputs: &[Vec<f64>],
) -> Result<(), TestCaseError> {
    let (_, gradients) = forward_and_backward::<Reference>(operation, inputs, None);
    let total = |inputs: &[Vec<f64>]| numbers(weigh(operation.run(&tensors::<Reference>(inputs))))[0];
    for (index, gradient) in gradients.into_iter().enumerate() {
        for element in 0..inputs[index].len() {
            let mut moved = inputs.to_vec();
            moved[index][element] += STEP;
            let above = total(&moved);
            moved[index][element] -= 2.0 * STEP;
            let quotient = (above - total(&moved)) / (2.0 * STEP);
            let ours = gradient.as_ref().map_or(0.0, |gradient| gradient[element]);
            prop_assert!(
                (ours - quotient).abs() <= QUOTIENT_TOLERANCE * (1.0 + quotient.abs()),
                "input {index}, element {element}: backward {ours}, difference quotient {quotient}"
            );
        }
    }
    Ok(())
}
