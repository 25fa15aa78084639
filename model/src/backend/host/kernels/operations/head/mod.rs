//! The language-model head, and its loss.

mod cross_entropy;
mod softcap;

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Shape, TensorMetadata};

use self::cross_entropy::HeadShape;
use super::linear::{self, LinearShape, Weight};
use super::machine::elements::Elements;
use super::tensor::{HostMemory, buffer, rows, with_last};
use crate::backend::{HeadGradients, PackedWeight, Wanted};

pub(in crate::backend) fn head<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    scores::<B>(hidden, Elements::F32(&B::values(&weight)), weight.shape()[0], softcap)
}

pub(in crate::backend) fn packed_head<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: PackedWeight<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    let vocab = weight.shape()[0];
    B::with_packed(&weight, |weight| scores::<B>(hidden, weight, vocab, softcap))
}

fn scores<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: Elements,
    vocab: usize,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    let shape = hidden.shape();
    let (rows, d_in) = rows(&shape);
    let mut logits = buffer(rows * vocab);
    let sizes = LinearShape { rows, d_in, d_out: vocab };
    linear::forward(sizes, &B::values(&hidden), Weight::Columns(weight), None, &mut logits);
    if let Some(cap) = softcap {
        softcap::forward(&mut logits, cap as f32);
    }
    B::tensor(logits, with_last(&shape, vocab))
}

pub(in crate::backend) fn head_cross_entropy<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    loss::<B>(hidden, Elements::F32(&B::values(&weight)), weight.shape()[0], targets, softcap)
}

pub(in crate::backend) fn packed_head_cross_entropy<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: PackedWeight<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    let vocab = weight.shape()[0];
    B::with_packed(&weight, |weight| loss::<B>(hidden, weight, vocab, targets, softcap))
}

fn loss<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: Elements,
    vocab: usize,
    targets: IntTensor<B>,
    softcap: Option<f64>,
) -> FloatTensor<B> {
    let (rows, d) = rows(&hidden.shape());
    let sizes = HeadShape { rows, d, vocab, softcap: softcap.map(|cap| cap as f32) };
    let loss = cross_entropy::mean_loss(sizes, &B::values(&hidden), weight, &B::integers(targets));
    B::tensor(vec![loss], Shape::new([1]))
}

pub(in crate::backend) fn head_cross_entropy_with_gradients<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
    wanted: Wanted,
) -> HeadGradients<B> {
    let (rows, d) = rows(&hidden.shape());
    let sizes = HeadShape { rows, d, vocab: weight.shape()[0], softcap: softcap.map(|cap| cap as f32) };
    let mut d_hidden = wanted.input.then(|| buffer(sizes.rows * sizes.d));
    let mut d_weight = wanted.weight.then(|| buffer(sizes.vocab * sizes.d));
    let loss = cross_entropy::mean_loss_with_gradients(
        sizes,
        &B::values(&hidden),
        &B::values(&weight),
        &B::integers(targets),
        d_hidden.as_deref_mut(),
        d_weight.as_deref_mut(),
    );
    HeadGradients {
        loss: B::tensor(vec![loss], Shape::new([1])),
        hidden: d_hidden.map(|gradient| B::tensor(gradient, hidden.shape())),
        weight: d_weight.map(|gradient| B::tensor(gradient, weight.shape())),
    }
}
