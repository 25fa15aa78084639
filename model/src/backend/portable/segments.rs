//! Attention within sequences that lie one behind the other: each by itself, on whichever kernels the backend has.

use burn::tensor::Tensor;
use burn::tensor::ops::FloatTensor;

use super::{from_primitive, into_primitive};
use crate::backend::{Backend, Heads, Saved};

/// Keeps what the attention of each sequence keeps.
pub(in crate::backend) fn segment_attention_forward<B: Backend>(
    qkv: FloatTensor<B>,
    heads: Heads,
    scale: f64,
    dropout: f64,
    lengths: &[usize],
) -> (FloatTensor<B>, Vec<Saved<B>>) {
    let attended = parts::<B>(qkv, lengths).map(|part| B::attention_forward(part, heads, scale, dropout));
    let (outputs, saved): (Vec<_>, Vec<_>) = attended.unzip();
    (joined::<B>(outputs), saved)
}

pub(in crate::backend) fn segment_attention_backward<B: Backend>(
    saved: Vec<Saved<B>>,
    heads: Heads,
    scale: f64,
    dropout: f64,
    lengths: &[usize],
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let parts = saved.into_iter().zip(parts::<B>(gradient, lengths));
    joined::<B>(
        parts.map(|(saved, part)| B::attention_backward(saved, heads, scale, dropout, part)).collect(),
    )
}

/// The sequences of a row, each `[1, length, width]`.
fn parts<B: Backend>(row: FloatTensor<B>, lengths: &[usize]) -> impl Iterator<Item = FloatTensor<B>> {
    let row: Tensor<B, 3> = from_primitive(row);
    let mut first = 0;
    lengths.iter().map(move |length| {
        let part = row.clone().narrow(1, first, *length);
        first += length;
        into_primitive(part)
    })
}

/// The row of these sequences.
fn joined<B: Backend>(parts: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    let parts: Vec<Tensor<B, 3>> = parts.into_iter().map(from_primitive).collect();
    into_primitive(Tensor::cat(parts, 1))
}
