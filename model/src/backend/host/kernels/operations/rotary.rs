//! Rotary positions: pairs of features of each query and key turn by the angle of their position.

use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;

use super::machine::parallel::for_each_chunk;
use super::machine::simd::{Simd, dispatch, map4};
use super::tensor::{HostMemory, buffer};
use crate::backend::Heads;

/// Positions in one block of work.
const ROW_BLOCK: usize = 16;

pub(in crate::backend) fn rotary<B: HostMemory>(
    qkv: FloatTensor<B>,
    heads: Heads,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
) -> FloatTensor<B> {
    let (shape, width) = (qkv.shape(), heads.qkv_width());
    let mut output = buffer(shape.num_elements());
    {
        let (qkv, cos, sin) = (B::values(&qkv), B::values(&cos), B::values(&sin));
        let (qkv, cos, sin): (&[f32], &[f32], &[f32]) = (&qkv, &cos, &sin);
        let half = heads.head_dim / 2;
        // One sequence's angles serve all where there are no others.
        let positions = cos.len() / half;
        assert!(qkv.len().is_multiple_of(width) && sin.len() == cos.len(), "rotary: rows of {width}");
        assert!(
            positions > 0 && (qkv.len() / width).is_multiple_of(positions),
            "rotary: {positions} positions"
        );
        for_each_chunk(&mut output, ROW_BLOCK * width, qkv.len() * 2, |block, output| {
            let first = block * ROW_BLOCK;
            output.copy_from_slice(&qkv[first * width..][..output.len()]);
            for (row, output) in output.chunks_exact_mut(width).enumerate() {
                let input = &qkv[(first + row) * width..][..width];
                let at = (first + row) % positions * half;
                let (cos, sin) = (&cos[at..at + half], &sin[at..at + half]);
                dispatch!(turn_row(heads, input, cos, sin, output));
            }
        });
    }
    B::tensor(output, shape)
}

/// Turns the queries and keys of one position; `output` holds a copy of `input`.
#[inline(always)]
fn turn_row<S: Simd>(simd: S, heads: Heads, input: &[f32], cos: &[f32], sin: &[f32], output: &mut [f32]) {
    let turning = (heads.n_heads + heads.n_kv_heads) * heads.head_dim;
    let pairs = input[..turning].chunks_exact(heads.head_dim).zip(output.chunks_exact_mut(heads.head_dim));
    for (input, output) in pairs {
        let (a, b) = input.split_at(cos.len());
        let (turned_a, turned_b) = output.split_at_mut(cos.len());
        map4(
            simd,
            turned_a,
            b,
            cos,
            sin,
            #[inline(always)]
            |a, b, cos, sin| a * cos - b * sin,
        );
        map4(
            simd,
            turned_b,
            a,
            cos,
            sin,
            #[inline(always)]
            |b, a, cos, sin| b * cos + a * sin,
        );
    }
}
