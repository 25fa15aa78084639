//! What an optimizer step needs: the norm of a gradient, and AdamW, which is Adam with weight decay applied
//! to the parameter itself (<https://arxiv.org/abs/1711.05101>).

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use super::{from_primitive, into_primitive};
use crate::backend::{AdamWStep, Backend};

/// `Σ x²` over all elements, `[1]`.
pub(in crate::backend) fn sum_of_squares<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    into_primitive(super::rows::<B>(tensor).square().sum())
}

/// As PyTorch computes it: decay first, both moments bias-corrected, `epsilon` added after the root.
pub(in crate::backend) fn adamw_step<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first_moment: FloatTensor<B>,
    second_moment: FloatTensor<B>,
    step: AdamWStep,
) -> [FloatTensor<B>; 3] {
    let AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, step } = step;
    // Element-wise, so any shape may be seen as one row; the rank is the caller's business.
    let shape = burn::tensor::TensorMetadata::shape(&parameter);
    let flat = |primitive| -> Tensor<B, 1> {
        from_primitive(B::float_reshape(primitive, burn::tensor::Shape::new([shape.num_elements()])))
    };
    let mut gradient = flat(gradient);
    if gradient_scale != 1.0 {
        gradient = gradient * gradient_scale;
    }
    let first = flat(first_moment) * beta1 + gradient.clone() * (1.0 - beta1);
    let second = flat(second_moment) * beta2 + gradient.square() * (1.0 - beta2);

    let exponent = step as i32;
    let step_size = learning_rate / (1.0 - beta1.powi(exponent));
    let root_correction = (1.0 - beta2.powi(exponent)).sqrt();
    let denominator = second.clone().sqrt() / root_correction + epsilon;
    let mut parameter = flat(parameter);
    if weight_decay > 0.0 {
        parameter = parameter * (1.0 - learning_rate * weight_decay);
    }
    let parameter = parameter - first.clone() / denominator * step_size;
    [parameter, first, second].map(|tensor| B::float_reshape(into_primitive(tensor), shape.clone()))
}
