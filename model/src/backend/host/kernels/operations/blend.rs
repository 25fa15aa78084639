//! The weighted sum of two tensors, in one pass forward and one backward.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use super::machine::parallel::{ELEMENTWISE_BLOCK, for_each_chunk, for_each_chunk3};
use super::machine::simd::{self, Lanes, Simd, dispatch, map2, map3};
use super::machine::workspace::with_scratch;
use super::tensor::{HostMemory, buffer};

pub(in crate::backend) fn blend<B: HostMemory>(
    inputs: [FloatTensor<B>; 2],
    weights: [FloatTensor<B>; 2],
) -> FloatTensor<B> {
    let shape = inputs[0].shape();
    let mut output = buffer(shape.num_elements());
    let [first, second] = inputs.each_ref().map(B::values);
    forward([&first, &second], numbers::<B>(&weights), &mut output);
    B::tensor(output, shape)
}

pub(in crate::backend) fn blend_backward<B: HostMemory>(
    inputs: [FloatTensor<B>; 2],
    weights: [FloatTensor<B>; 2],
    gradient: FloatTensor<B>,
) -> [[FloatTensor<B>; 2]; 2] {
    let shape = gradient.shape();
    let [mut d_first, mut d_second] = [(); 2].map(|()| buffer(shape.num_elements()));
    let [first, second] = inputs.each_ref().map(B::values);
    let (inputs, outputs) = ([&first[..], &second[..]], [&mut d_first[..], &mut d_second[..]]);
    let d_weights = backward(inputs, numbers::<B>(&weights), &B::values(&gradient), outputs);
    let d_inputs = [d_first, d_second].map(|values| B::tensor(values, shape.clone()));
    [d_inputs, d_weights.map(|weight| B::tensor(vec![weight], Shape::new([1])))]
}

fn numbers<B: HostMemory>(weights: &[FloatTensor<B>; 2]) -> [f32; 2] {
    weights.each_ref().map(|weight| B::values(weight)[0])
}

/// `output = w_0 x_0 + w_1 x_1`.
fn forward([first, second]: [&[f32]; 2], weights: [f32; 2], output: &mut [f32]) {
    assert!(first.len() == output.len() && second.len() == output.len(), "blend: tensors of one shape");
    for_each_chunk(output, ELEMENTWISE_BLOCK, first.len() * 2, |block, output| {
        let at = block * ELEMENTWISE_BLOCK..block * ELEMENTWISE_BLOCK + output.len();
        dispatch!(forward_block([&first[at.clone()], &second[at]], weights, output));
    });
}

#[inline(always)]
fn forward_block<S: Simd>(simd: S, [first, second]: [&[f32]; 2], weights: [f32; 2], output: &mut [f32]) {
    let [w_first, w_second] = weights.map(|weight| Lanes::splat(simd, weight));
    map3(
        simd,
        output,
        first,
        second,
        #[inline(always)]
        |_, first, second| second.mul_add(w_second, first * w_first),
    );
}

/// `dx_i = w_i dy`; returns `Σ dy · x_i`.
fn backward(
    [first, second]: [&[f32]; 2],
    weights: [f32; 2],
    dy: &[f32],
    [d_first, d_second]: [&mut [f32]; 2],
) -> [f32; 2] {
    assert!(first.len() == dy.len() && second.len() == dy.len(), "blend: gradient of another shape");
    // Each block leaves its two sums here.
    with_scratch(dy.len().div_ceil(ELEMENTWISE_BLOCK) * 2, |sums| {
        let outputs = ((d_first, ELEMENTWISE_BLOCK), (d_second, ELEMENTWISE_BLOCK), (&mut *sums, 2));
        for_each_chunk3(outputs.0, outputs.1, outputs.2, dy.len() * 6, |block, d_first, d_second, sums| {
            let at = block * ELEMENTWISE_BLOCK..block * ELEMENTWISE_BLOCK + d_first.len();
            let (inputs, dy) = ([&first[at.clone()], &second[at.clone()]], &dy[at]);
            dispatch!(backward_block(inputs, weights, dy, [d_first, d_second], sums));
        });
        [0, 1].map(|which| sums.iter().skip(which).step_by(2).map(|&sum| f64::from(sum)).sum::<f64>() as f32)
    })
}

#[inline(always)]
fn backward_block<S: Simd>(
    simd: S,
    inputs: [&[f32]; 2],
    weights: [f32; 2],
    dy: &[f32],
    outputs: [&mut [f32]; 2],
    sums: &mut [f32],
) {
    for (which, output) in outputs.into_iter().enumerate() {
        sums[which] = simd::dot(simd, dy, inputs[which]);
        let weight = Lanes::splat(simd, weights[which]);
        map2(
            simd,
            output,
            dy,
            #[inline(always)]
            |_, dy| dy * weight,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::{assert_close, on_all_threads, random, wide};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equals_the_reference_with_any_number_of_threads(len in 1usize..40_000, seed in 0u64..1 << 40) {
            let [first, second, dy] = [0, 1, 2].map(|part| random(len, seed + part));
            let weights = [1.25, -0.5];
            let results = on_all_threads(|| {
                let [mut y, mut d_first, mut d_second] = [(); 3].map(|()| vec![9.0; len]);
                forward([&first, &second], weights, &mut y);
                let sums = backward([&first, &second], weights, &dy, [&mut d_first, &mut d_second]);
                vec![y, d_first, d_second, sums.to_vec()]
            });
            let [first, second, dy] = [&first, &second, &dy].map(|values| wide(values));
            let of = |formula: &dyn Fn(usize) -> f64| (0..len).map(formula).collect::<Vec<f64>>();
            assert_close(&results[0], &of(&|i| 1.25 * first[i] - 0.5 * second[i]), 1e-6);
            assert_close(&results[1], &of(&|i| 1.25 * dy[i]), 1e-6);
            assert_close(&results[2], &of(&|i| -0.5 * dy[i]), 1e-6);
            let sums = [first, second].map(|x| x.iter().zip(&dy).map(|(x, dy)| x * dy).sum::<f64>());
            for (ours, sum) in results[3].iter().zip(sums) {
                prop_assert!((f64::from(*ours) - sum).abs() <= 1e-6 * len as f64, "{ours} against {sum}");
            }
        }
    }
}
