//! One AdamW step, in place, with PyTorch's semantics (<https://arxiv.org/abs/1711.05101>).
//!
//! g is the gradient times its scale; p ← p·(1 − lr·wd); m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²;
//! p ← p − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε).

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;

use super::machine::parallel::{ELEMENTWISE_BLOCK, for_each_chunk3};
use super::machine::simd::{Lanes, Simd, dispatch};
use super::tensor::HostMemory;
use crate::backend::AdamWStep;

pub(in crate::backend) fn adamw_step<B: HostMemory>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first_moment: FloatTensor<B>,
    second_moment: FloatTensor<B>,
    step: AdamWStep,
) -> [FloatTensor<B>; 3] {
    let shape = parameter.shape();
    let [mut parameter, mut first, mut second] = [parameter, first_moment, second_moment].map(B::into_values);
    update(step, &mut parameter, &B::values(&gradient), &mut first, &mut second);
    [parameter, first, second].map(|values| B::tensor(values, shape.clone()))
}

/// The coefficients of one step, rounded once.
#[derive(Clone, Copy)]
struct Coefficients {
    gradient_scale: f32,
    decay: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    step_size: f32,
    inverse_root_correction: f32,
    epsilon: f32,
}

impl From<AdamWStep> for Coefficients {
    fn from(numbers: AdamWStep) -> Self {
        let AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, gradient_scale, step } = numbers;
        assert!(step > 0, "AdamW steps count from 1");
        let exponent = step as f64;
        Self {
            gradient_scale: gradient_scale as f32,
            decay: (1.0 - learning_rate * weight_decay) as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            step_size: (learning_rate / (1.0 - beta1.powf(exponent))) as f32,
            inverse_root_correction: (1.0 / (1.0 - beta2.powf(exponent)).sqrt()) as f32,
            epsilon: epsilon as f32,
        }
    }
}

/// Updates one parameter and its moments in place.
pub(in crate::backend) fn update(
    step: AdamWStep,
    parameter: &mut [f32],
    gradient: &[f32],
    first_moment: &mut [f32],
    second_moment: &mut [f32],
) {
    let len = parameter.len();
    assert!(
        gradient.len() == len && first_moment.len() == len && second_moment.len() == len,
        "AdamW: lengths differ"
    );
    let coefficients = Coefficients::from(step);
    let n = ELEMENTWISE_BLOCK;
    for_each_chunk3((parameter, n), (first_moment, n), (second_moment, n), len * 4, |block, p, m, v| {
        let g = &gradient[block * n..][..p.len()];
        dispatch!(step_block(coefficients, p, g, m, v));
    });
}

#[inline(always)]
fn step_block<S: Simd>(simd: S, c: Coefficients, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let (p_head, p_tail) = S::as_mut_simd_f32s(p);
    let (g_head, g_tail) = S::as_simd_f32s(g);
    let (m_head, m_tail) = S::as_mut_simd_f32s(m);
    let (v_head, v_tail) = S::as_mut_simd_f32s(v);
    for (((p, g), m), v) in p_head.iter_mut().zip(g_head).zip(m_head).zip(v_head) {
        let (old_p, g) = (Lanes::new(simd, *p), Lanes::new(simd, *g));
        let (new_p, new_m, new_v) = step_lanes(c, old_p, g, Lanes::new(simd, *m), Lanes::new(simd, *v));
        (*p, *m, *v) = (new_p.v, new_m.v, new_v.v);
    }
    if !p_tail.is_empty() {
        let (p, g) = (Lanes::load(simd, p_tail), Lanes::load(simd, g_tail));
        let (p, m, v) = step_lanes(c, p, g, Lanes::load(simd, m_tail), Lanes::load(simd, v_tail));
        simd.partial_store_f32s(p_tail, p.v);
        simd.partial_store_f32s(m_tail, m.v);
        simd.partial_store_f32s(v_tail, v.v);
    }
}

#[inline(always)]
fn step_lanes<S: Simd>(
    c: Coefficients,
    p: Lanes<S>,
    g: Lanes<S>,
    m: Lanes<S>,
    v: Lanes<S>,
) -> (Lanes<S>, Lanes<S>, Lanes<S>) {
    let g = g * g.like(c.gradient_scale);
    let m = (g - m).mul_add(g.like(c.one_minus_beta1), m);
    let v = (g * g.like(c.one_minus_beta2)).mul_add(g, v * v.like(c.beta2));
    let denominator = v.sqrt().mul_add(v.like(c.inverse_root_correction), v.like(c.epsilon));
    let p = p * p.like(c.decay) - p.like(c.step_size) * m / denominator;
    (p, m, v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::{assert_close, on_all_threads, random, wide};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equals_the_reference_over_several_steps(len in 1usize..20_000, seed in 0u64..1 << 40) {
            let recipe = |step| AdamWStep {
                learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1, gradient_scale: 0.6, step,
            };
            let start = random(len, seed);
            let r = on_all_threads(|| {
                let (mut p, mut m, mut v) = (start.clone(), vec![0.0; len], vec![0.0; len]);
                for step in 1..=3 {
                    update(recipe(step), &mut p, &random(len, seed + step as u64), &mut m, &mut v);
                }
                vec![p, m, v]
            });
            let (mut p, mut m, mut v) = (wide(&start), vec![0.0; len], vec![0.0; len]);
            for step in 1..=3 {
                let g = random(len, seed + step as u64);
                let recipe = recipe(step);
                for i in 0..len {
                    let g = recipe.gradient_scale * f64::from(g[i]);
                    p[i] *= 1.0 - recipe.learning_rate * recipe.weight_decay;
                    m[i] = recipe.beta1 * m[i] + (1.0 - recipe.beta1) * g;
                    v[i] = recipe.beta2 * v[i] + (1.0 - recipe.beta2) * g * g;
                    let m_hat = m[i] / (1.0 - recipe.beta1.powi(step as i32));
                    let v_hat = v[i] / (1.0 - recipe.beta2.powi(step as i32));
                    p[i] -= recipe.learning_rate * m_hat / (v_hat.sqrt() + recipe.epsilon);
                }
            }
            assert_close(&r[0], &p, 1e-6);
            assert_close(&r[1], &m, 1e-6);
            assert_close(&r[2], &v, 1e-6);
        }
    }
}
