//! Clipping and AdamW.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use crate::backend::AdamWStep;
use crate::backend::host::HostMemory;
use crate::backend::host::kernels;

pub(in crate::backend) fn sum_of_squares<B: HostMemory>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::tensor(vec![kernels::sum_of_squares(&B::values(&tensor)) as f32], Shape::new([1]))
}

pub(in crate::backend) fn adamw_step<B: HostMemory>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first_moment: FloatTensor<B>,
    second_moment: FloatTensor<B>,
    step: AdamWStep,
) -> [FloatTensor<B>; 3] {
    let shape = parameter.shape();
    let [mut parameter, mut first, mut second] = [parameter, first_moment, second_moment].map(B::into_values);
    adamw_update(&mut parameter, &B::values(&gradient), &mut first, &mut second, step);
    [parameter, first, second].map(|values| B::tensor(values, shape.clone()))
}

/// One AdamW update in place.
pub(in crate::backend) fn adamw_update(
    parameter: &mut [f32],
    gradient: &[f32],
    first_moment: &mut [f32],
    second_moment: &mut [f32],
    step: AdamWStep,
) {
    let AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, step } = step;
    let recipe = kernels::AdamW { learning_rate, beta1, beta2, epsilon, weight_decay };
    kernels::adamw(&recipe, step as u64, 1.0, parameter, gradient, first_moment, second_moment);
}
