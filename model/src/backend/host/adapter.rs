//! The kernels in the shape of [`Backend`](crate::Backend)'s operations: slices out of tensors, tensors out of buffers.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Distribution, Int, Shape, Tensor, TensorMetadata, TensorPrimitive};

use super::HostMemory;
use super::kernels::{self, AttentionShape, CachedAttentionShape, Elements, HeadShape, Layout, LinearShape};
use crate::Activation;
use crate::allocation::vec_with_capacity;
use crate::backend::{AdamWStep, HeadGradients, LayerNormGradients, LinearGradients, Saved};
use crate::precision::{Channels, Precision};

/// Whether the kernels can take this tensor: they compute in f32.
pub(in crate::backend) fn applies<B: HostMemory>(tensor: &FloatTensor<B>) -> bool {
    tensor.dtype() == DType::F32
}

/// A buffer for a kernel to fill, of unspecified content: zeroing what is about to be overwritten is up to a twentieth of
/// a training step. In debug builds it holds NaN, so that a kernel that reads what it did not write fails every test.
fn buffer(len: usize) -> Vec<f32> {
    if cfg!(debug_assertions) {
        return vec![f32::NAN; len];
    }
    let mut values = vec_with_capacity(len);
    // SAFETY: the capacity was just reserved, any bits are an f32, and the buffer leaves this file only after a kernel has
    // written every element; none is read before.
    #[allow(unsafe_code, clippy::uninit_vec)]
    unsafe {
        values.set_len(len);
    }
    values
}

/// Number of rows when every axis but the last becomes one, and the last.
fn rows(shape: &Shape) -> (usize, usize) {
    let last = shape[shape.num_dims() - 1];
    (shape.num_elements() / last, last)
}

fn with_last(shape: &Shape, last: usize) -> Shape {
    let mut shape = shape.clone();
    let axes = shape.num_dims();
    shape[axes - 1] = last;
    shape
}

fn take<B: HostMemory, const N: usize>(saved: Saved<B>) -> [FloatTensor<B>; N] {
    <[_; N]>::try_from(saved).expect("the backward pass gets what its forward pass saved")
}

pub(in crate::backend) fn embedding<B: HostMemory>(
    weight: FloatTensor<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    gather::<B>(Elements::F32(&B::values(&weight)), weight.shape()[1], ids)
}

pub(in crate::backend) fn narrow_embedding<B: HostMemory>(
    weight: TensorPrimitive<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    let width = weight.shape()[1];
    B::with_narrow(&weight, |weight| gather::<B>(weight, width, ids))
}

fn gather<B: HostMemory>(weight: Elements, width: usize, ids: IntTensor<B>) -> FloatTensor<B> {
    let [batch, seq] = [0, 1].map(|axis| ids.shape()[axis]);
    let mut output = buffer(batch * seq * width);
    kernels::embedding_forward(weight, width, &B::integers(ids), &mut output);
    B::tensor(output, Shape::new([batch, seq, width]))
}

pub(in crate::backend) fn embedding_backward<B: HostMemory>(
    weight: FloatTensor<B>,
    ids: IntTensor<B>,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let shape = weight.shape();
    let mut d_weight = vec![0.0; shape.num_elements()];
    kernels::embedding_backward(&B::values(&gradient), shape[1], &B::integers(ids), &mut d_weight);
    B::tensor(d_weight, shape)
}

/// Saves the mask's seed in two halves that f32 holds exactly.
pub(in crate::backend) fn dropout_forward<B: HostMemory>(
    input: FloatTensor<B>,
    probability: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let seed = B::tensor(draw_seed::<B>(&input).to_vec(), Shape::new([2]));
    (dropout_backward::<B>(vec![seed.clone()], probability, input), vec![seed])
}

/// Dropping is linear, so the backward pass does to the gradient what the forward pass did to the input.
pub(in crate::backend) fn dropout_backward<B: HostMemory>(
    saved: Saved<B>,
    probability: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let [seed] = take::<B, 1>(saved);
    let shape = gradient.shape();
    let mut values = B::into_values(gradient);
    kernels::dropout(&mut values, probability as f32, join_seed(&B::values(&seed)));
    B::tensor(values, shape)
}

pub(in crate::backend) fn sum_of_squares<B: HostMemory>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::tensor(vec![kernels::sum_of_squares(&B::values(&tensor)) as f32], Shape::new([1]))
}

/// Saves the input, its mean and reciprocal deviation.
pub(in crate::backend) fn layer_norm_forward<B: HostMemory>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    epsilon: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = input.shape();
    let (rows, _) = rows(&shape);
    let (mut output, mut mean, mut rstd) = (buffer(shape.num_elements()), buffer(rows), buffer(rows));
    kernels::layer_norm_forward(
        &B::values(&input),
        &B::values(&weight),
        bias.as_ref().map(B::values).as_deref(),
        epsilon as f32,
        &mut output,
        &mut mean,
        &mut rstd,
    );
    let statistics = [mean, rstd].map(|values| B::tensor(values, Shape::new([rows])));
    (B::tensor(output, shape), std::iter::once(input).chain(statistics).collect())
}

pub(in crate::backend) fn layer_norm_backward<B: HostMemory>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    has_bias: bool,
    gradient: FloatTensor<B>,
) -> LayerNormGradients<B> {
    let [input, mean, rstd] = take::<B, 3>(saved);
    let shape = input.shape();
    let (_, width) = rows(&shape);
    let (mut d_input, mut d_weight) = (buffer(shape.num_elements()), buffer(width));
    let mut d_bias = has_bias.then(|| buffer(width));
    kernels::layer_norm_backward(
        &B::values(&gradient),
        &B::values(&input),
        &B::values(&weight),
        &B::values(&mean),
        &B::values(&rstd),
        &mut d_input,
        &mut d_weight,
        d_bias.as_deref_mut(),
        false,
    );
    let vector = |values| B::tensor(values, Shape::new([width]));
    LayerNormGradients {
        input: B::tensor(d_input, shape),
        weight: vector(d_weight),
        bias: d_bias.map(vector),
    }
}

fn linear_shape<B: HostMemory>(input: &Shape, weight: &FloatTensor<B>) -> LinearShape {
    let (rows, d_in) = rows(input);
    LinearShape { rows, d_in, d_out: weight.shape()[1] }
}

/// Without anything for a backward pass.
pub(in crate::backend) fn linear<B: HostMemory>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> FloatTensor<B> {
    affine::<B>(input, Elements::F32(&B::values(&weight)), weight.shape()[1], bias, activation)
}

pub(in crate::backend) fn narrow_linear<B: HostMemory>(
    input: FloatTensor<B>,
    weight: TensorPrimitive<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> FloatTensor<B> {
    let d_out = weight.shape()[1];
    B::with_narrow(&weight, |weight| affine::<B>(input, weight, d_out, bias, activation))
}

fn affine<B: HostMemory>(
    input: FloatTensor<B>,
    weight: Elements,
    d_out: usize,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> FloatTensor<B> {
    let shape = input.shape();
    let (rows, d_in) = rows(&shape);
    let sizes = LinearShape { rows, d_in, d_out };
    let mut output = buffer(rows * d_out);
    let (input, bias) = (B::values(&input), bias.as_ref().map(B::values));
    let bias = bias.as_deref();
    match activation {
        None => kernels::linear_forward(sizes, &input, weight, bias, &mut output),
        Some(activation) => {
            kernels::linear_activation_inference(sizes, &input, weight, bias, activation, &mut output);
        }
    }
    B::tensor(output, with_last(&shape, d_out))
}

/// Saves the input and, where there is an activation, what went into it.
pub(in crate::backend) fn linear_forward<B: HostMemory>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    activation: Option<Activation>,
) -> (FloatTensor<B>, Saved<B>) {
    let Some(activation) = activation else {
        return (linear::<B>(input.clone(), weight, bias, None), vec![input]);
    };
    let shape = input.shape();
    let sizes = linear_shape::<B>(&shape, &weight);
    let (mut before, mut output) = (buffer(sizes.rows * sizes.d_out), buffer(sizes.rows * sizes.d_out));
    kernels::linear_activation_forward(
        sizes,
        &B::values(&input),
        &B::values(&weight),
        bias.as_ref().map(B::values).as_deref(),
        activation,
        &mut before,
        &mut output,
    );
    let shape = with_last(&shape, sizes.d_out);
    let before = B::tensor(before, Shape::new([sizes.rows, sizes.d_out]));
    (B::tensor(output, shape), vec![input, before])
}

pub(in crate::backend) fn linear_backward<B: HostMemory>(
    saved: Saved<B>,
    weight: FloatTensor<B>,
    has_bias: bool,
    activation: Option<Activation>,
    gradient: FloatTensor<B>,
) -> LinearGradients<B> {
    let mut saved = saved.into_iter();
    let input = saved.next().expect("linear_forward saved its input");
    let shape = input.shape();
    let sizes = linear_shape::<B>(&shape, &weight);
    let gradient = match activation {
        None => gradient,
        Some(activation) => {
            let before = saved.next().expect("linear_forward saved what it activated");
            let shape = gradient.shape();
            let mut gradient = B::into_values(gradient);
            kernels::activation_backward(activation, &mut gradient, &B::values(&before));
            B::tensor(gradient, shape)
        }
    };
    let gradient = B::values(&gradient);
    let mut d_input = buffer(sizes.rows * sizes.d_in);
    kernels::linear_backward_input(sizes, &gradient, &B::values(&weight), &mut d_input, false);
    let mut d_weight = buffer(sizes.d_in * sizes.d_out);
    kernels::linear_backward_weight(sizes, &B::values(&input), &gradient, &mut d_weight, false);
    let bias = has_bias.then(|| {
        let mut d_bias = buffer(sizes.d_out);
        kernels::linear_backward_bias(&gradient, &mut d_bias);
        B::tensor(d_bias, Shape::new([sizes.d_out]))
    });
    LinearGradients {
        input: B::tensor(d_input, shape),
        weight: B::tensor(d_weight, Shape::new([sizes.d_in, sizes.d_out])),
        bias,
    }
}

fn attention_shape(qkv: &Shape, n_heads: usize, scale: f64, dropout: f64, seed: u64) -> AttentionShape {
    let [batch, seq, width] = [0, 1, 2].map(|axis| qkv[axis]);
    let (scale, dropout) = (scale as f32, dropout as f32);
    AttentionShape { batch, seq, heads: n_heads, d_model: width / 3, scale, dropout, seed }
}

/// Saves the projection, the output and the logarithm of each row's sum; with dropout, also the mask's seed in two
/// halves that f32 holds exactly.
pub(in crate::backend) fn causal_attention_forward<B: HostMemory>(
    qkv: FloatTensor<B>,
    n_heads: usize,
    scale: f64,
    dropout: f64,
) -> (FloatTensor<B>, Saved<B>) {
    let shape = qkv.shape();
    let seed = if dropout > 0.0 { draw_seed::<B>(&qkv) } else { [0.0; 2] };
    let sizes = attention_shape(&shape, n_heads, scale, dropout, join_seed(&seed));
    let mut output = buffer(sizes.batch * sizes.seq * sizes.d_model);
    let mut lse = buffer(sizes.batch * sizes.heads * sizes.seq);
    kernels::attention_forward(&sizes, &B::values(&qkv), &mut output, &mut lse);
    let output = B::tensor(output, with_last(&shape, sizes.d_model));
    let lse = B::tensor(lse, Shape::new([sizes.batch, sizes.heads, sizes.seq]));
    let seed = B::tensor(seed.to_vec(), Shape::new([2]));
    (output.clone(), vec![qkv, output, lse, seed])
}

pub(in crate::backend) fn causal_attention_backward<B: HostMemory>(
    saved: Saved<B>,
    n_heads: usize,
    scale: f64,
    dropout: f64,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let [qkv, output, lse, seed] = take::<B, 4>(saved);
    let shape = qkv.shape();
    let sizes = attention_shape(&shape, n_heads, scale, dropout, join_seed(&B::values(&seed)));
    let mut d_qkv = buffer(shape.num_elements());
    kernels::attention_backward(
        &sizes,
        &B::values(&qkv),
        &B::values(&output),
        &B::values(&lse),
        &B::values(&gradient),
        &mut d_qkv,
    );
    B::tensor(d_qkv, shape)
}

/// From the backend's own generator, so that seeding the backend decides dropout too.
fn draw_seed<B: HostMemory>(like: &FloatTensor<B>) -> [f32; 2] {
    let range = Distribution::Uniform(0.0, f64::from(1 << 24));
    let halves = Tensor::<B, 1, Int>::random([2], range, &B::float_device(like));
    let halves = B::integers(halves.into_primitive());
    [halves[0] as f32, halves[1] as f32]
}

fn join_seed(halves: &[f32]) -> u64 {
    (halves[0] as u64) << 24 | halves[1] as u64
}

pub(in crate::backend) fn cached_attention<B: HostMemory>(
    query: FloatTensor<B>,
    keys: FloatTensor<B>,
    values: FloatTensor<B>,
    filled: usize,
    scale: f64,
) -> FloatTensor<B> {
    let shape = query.shape();
    let [batch, heads, n_new, head_dim] = [0, 1, 2, 3].map(|axis| shape[axis]);
    let (len, capacity, scale) = (filled, keys.shape()[2], scale as f32);
    let sizes = CachedAttentionShape { batch, heads, head_dim, n_new, len, capacity, scale };
    let mut output = buffer(shape.num_elements());
    kernels::attention_cached(
        &sizes,
        &B::values(&query),
        &B::values(&keys),
        &B::values(&values),
        &mut output,
    );
    B::tensor(output, shape)
}

pub(in crate::backend) fn head<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
) -> FloatTensor<B> {
    scores::<B>(hidden, Elements::F32(&B::values(&weight)), weight.shape()[0])
}

pub(in crate::backend) fn narrow_head<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: TensorPrimitive<B>,
) -> FloatTensor<B> {
    let vocab = weight.shape()[0];
    B::with_narrow(&weight, |weight| scores::<B>(hidden, weight, vocab))
}

fn scores<B: HostMemory>(hidden: FloatTensor<B>, weight: Elements, vocab: usize) -> FloatTensor<B> {
    let shape = hidden.shape();
    let (rows, d) = rows(&shape);
    let mut logits = buffer(rows * vocab);
    kernels::matmul(Layout::Nt, (rows, vocab, d), &B::values(&hidden), weight, &mut logits, false);
    B::tensor(logits, with_last(&shape, vocab))
}

pub(in crate::backend) fn head_cross_entropy<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
) -> FloatTensor<B> {
    loss::<B>(hidden, Elements::F32(&B::values(&weight)), weight.shape()[0], targets)
}

pub(in crate::backend) fn narrow_head_cross_entropy<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: TensorPrimitive<B>,
    targets: IntTensor<B>,
) -> FloatTensor<B> {
    let vocab = weight.shape()[0];
    B::with_narrow(&weight, |weight| loss::<B>(hidden, weight, vocab, targets))
}

fn loss<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: Elements,
    vocab: usize,
    targets: IntTensor<B>,
) -> FloatTensor<B> {
    let (rows, d) = rows(&hidden.shape());
    let sizes = HeadShape { rows, d, vocab };
    let loss = kernels::cross_entropy(sizes, &B::values(&hidden), weight, &B::integers(targets));
    B::tensor(vec![loss], Shape::new([1]))
}

/// A matrix in the number format of `precision`, output channel by output channel whatever its shape says.
pub(in crate::backend) fn narrow<B: HostMemory>(
    weight: FloatTensor<B>,
    channels: Channels,
    precision: Precision,
) -> TensorPrimitive<B> {
    let shape = weight.shape();
    let values = B::values(&weight);
    let (values, n_channels) = match channels {
        Channels::Rows => (values, shape[0]),
        Channels::Columns => (kernels::transpose(&values, shape[1]).into(), shape[1]),
    };
    match precision {
        Precision::F32 => TensorPrimitive::Float(weight.clone()),
        Precision::Bf16 => TensorPrimitive::Float(B::bf16(kernels::to_bf16(&values), shape)),
        Precision::Int8 => {
            let (values, scales) = kernels::quantize_rows(&values, n_channels);
            TensorPrimitive::QFloat(B::int8(values, scales, shape))
        }
    }
}

pub(in crate::backend) fn head_cross_entropy_with_gradients<B: HostMemory>(
    hidden: FloatTensor<B>,
    weight: FloatTensor<B>,
    targets: IntTensor<B>,
) -> HeadGradients<B> {
    let (rows, d) = rows(&hidden.shape());
    let sizes = HeadShape { rows, d, vocab: weight.shape()[0] };
    let (mut d_hidden, mut d_weight) = (buffer(sizes.rows * sizes.d), buffer(sizes.vocab * sizes.d));
    let loss = kernels::cross_entropy_with_gradients(
        sizes,
        &B::values(&hidden),
        &B::values(&weight),
        &B::integers(targets),
        1.0,
        &mut d_hidden,
        &mut d_weight,
    );
    HeadGradients {
        loss: B::tensor(vec![loss], Shape::new([1])),
        hidden: B::tensor(d_hidden, hidden.shape()),
        weight: B::tensor(d_weight, weight.shape()),
    }
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
