//! The gate of a feed-forward network: `activation(gate)·expanded`, element by element.

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;

use super::machine::activation::{self, specialise};
use super::machine::parallel::{ELEMENTWISE_BLOCK, for_each_chunk, for_each_chunk2};
use super::machine::simd::{Simd, dispatch, map3, map4};
use super::tensor::{HostMemory, buffer};
use crate::Activation;

pub(in crate::backend) fn gate<B: HostMemory>(
    gate: FloatTensor<B>,
    expanded: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let shape = gate.shape();
    let mut output = buffer(shape.num_elements());
    {
        let (gate, expanded) = (B::values(&gate), B::values(&expanded));
        let (gate, expanded): (&[f32], &[f32]) = (&gate, &expanded);
        assert_eq!(gate.len(), expanded.len(), "gate: both factors have one shape");
        for_each_chunk(&mut output, ELEMENTWISE_BLOCK, gate.len() * 8, |block, output| {
            let at = block * ELEMENTWISE_BLOCK..block * ELEMENTWISE_BLOCK + output.len();
            dispatch!(forward_block(activation, &gate[at.clone()], &expanded[at], output));
        });
    }
    B::tensor(output, shape)
}

#[inline(always)]
fn forward_block<S: Simd>(simd: S, kind: Activation, gate: &[f32], expanded: &[f32], output: &mut [f32]) {
    specialise!(kind => map3(
        simd,
        output,
        gate,
        expanded,
        #[inline(always)]
        |_, gate, expanded| activation::value(kind, gate) * expanded,
    ));
}

pub(in crate::backend) fn gate_backward<B: HostMemory>(
    gate: FloatTensor<B>,
    expanded: FloatTensor<B>,
    activation: Activation,
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let shape = gate.shape();
    let (mut d_gate, mut d_expanded) = (buffer(shape.num_elements()), buffer(shape.num_elements()));
    {
        let (gate, expanded, dy) = (B::values(&gate), B::values(&expanded), B::values(&gradient));
        let (gate, expanded, dy): (&[f32], &[f32], &[f32]) = (&gate, &expanded, &dy);
        assert_eq!(gate.len(), dy.len(), "gate: gradient of another shape");
        let blocks = ((&mut d_gate[..], ELEMENTWISE_BLOCK), (&mut d_expanded[..], ELEMENTWISE_BLOCK));
        for_each_chunk2(blocks.0, blocks.1, gate.len() * 16, |block, d_gate, d_expanded| {
            let at = block * ELEMENTWISE_BLOCK..block * ELEMENTWISE_BLOCK + d_gate.len();
            let inputs = [&gate[at.clone()], &expanded[at.clone()], &dy[at]];
            dispatch!(backward_block(activation, inputs, d_gate, d_expanded));
        });
    }
    [B::tensor(d_gate, shape.clone()), B::tensor(d_expanded, shape)]
}

#[inline(always)]
fn backward_block<S: Simd>(
    simd: S,
    kind: Activation,
    [gate, expanded, dy]: [&[f32]; 3],
    d_gate: &mut [f32],
    d_expanded: &mut [f32],
) {
    specialise!(kind => map3(
        simd,
        d_expanded,
        dy,
        gate,
        #[inline(always)]
        |_, dy, gate| activation::value(kind, gate) * dy,
    ));
    specialise!(kind => map4(
        simd,
        d_gate,
        dy,
        gate,
        expanded,
        #[inline(always)]
        |_, dy, gate, expanded| activation::derivative(kind, gate) * dy * expanded,
    ));
}
