//! The feed-forward network: its activation, and the neurons that fire most.

use burn::tensor::{Tensor, TensorData};
use kiln_model::{Activation, Backend, FeedForwardKind, Site};
use serde::Serialize;

use super::matrix::{Matrix, length};
use super::pass::Pass;
use super::top::{TokenValue, largest, top};
use crate::tokens::to_vec;

/// Points of the curve.
const POINTS: usize = 121;
/// Bars of the histogram.
const BARS: usize = 60;
/// Neurons that are shown.
const NEURONS: usize = 10;
/// Tokens that are shown of each.
const TOKENS: usize = 5;

/// `y = activation(x W_in + b_in) W_out + b_out` in one block, on this text.
#[derive(Clone, Debug, Serialize)]
pub struct MlpPanel {
    /// Block.
    pub layer: usize,
    /// Position whose neurons are shown.
    pub position: usize,
    /// Width of the hidden layer.
    pub d_ff: usize,
    /// Its nonlinearity, as `config.json` names it.
    pub activation: Activation,
    /// Whether a gate, which passes the activation, is multiplied with the features.
    pub gated: bool,
    /// `(x, activation(x))` over the range of this text.
    pub curve: Vec<(f32, f32)>,
    /// How many of the text's pre-activations lie in each part of that range.
    pub histogram: Vec<usize>,
    /// Share of hidden features that are larger than 0 after the activation and the gate.
    pub positive: f32,
    /// What the neurons add to each logit, and how that is computed.
    pub meaning: &'static str,
    /// The neurons that write most at the position, those first.
    pub neurons: Vec<Neuron>,
}

/// One hidden feature.
#[derive(Clone, Debug, Serialize)]
pub struct Neuron {
    /// Its number.
    pub index: usize,
    /// Before the activation, at the position.
    pub pre: f32,
    /// After the activation and the gate, at the position.
    pub post: f32,
    /// Length of what it writes at the position, `|post| ‖w_out‖`.
    pub writes: f32,
    /// After the activation and the gate, at each position.
    pub activations: Vec<f32>,
    /// The tokens whose logits it raises most, and by how much.
    pub raises: Vec<TokenValue>,
    /// The tokens whose logits it lowers most.
    pub lowers: Vec<TokenValue>,
}

impl MlpPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>, layer: usize, position: usize) -> Self {
        let config = pass.config();
        let (pre, post) = (pass.values(Site::MlpPre(layer)), pass.values(Site::MlpPost(layer)));
        let (curve, histogram) = curve::<B>(config.activation, pre.values(), &pass.model.device());
        let positive = post.values().iter().filter(|value| **value > 0.0).count();
        Self {
            layer,
            position,
            d_ff: config.d_ff,
            activation: config.activation,
            gated: config.feed_forward == FeedForwardKind::Gated,
            curve,
            histogram,
            positive: positive as f32 / post.values().len().max(1) as f32,
            meaning: "post · w_out through the final norm of this pass, times W_U: what the neuron adds to a logit directly",
            neurons: neurons(pass, layer, position, &pre, &post),
        }
    }
}

/// The activation's curve over the range of these numbers, and how they lie in it.
fn curve<B: Backend>(
    activation: Activation,
    values: &[f32],
    device: &B::Device,
) -> (Vec<(f32, f32)>, Vec<usize>) {
    let extreme = |of: fn(f32, f32) -> f32, start| values.iter().copied().fold(start, of);
    let (low, high) = (extreme(f32::min, -4.0), extreme(f32::max, 4.0));
    let step = (high - low) / (POINTS - 1) as f32;
    let xs: Vec<f32> = (0..POINTS).map(|point| low + step * point as f32).collect();
    let points = Tensor::<B, 1>::from_data(TensorData::new(xs.clone(), [POINTS]), device);
    let ys = to_vec(activation.apply(points));
    let mut histogram = vec![0; BARS];
    for value in values {
        let bar = ((value - low) / (high - low) * BARS as f32) as usize;
        histogram[bar.min(BARS - 1)] += 1;
    }
    (xs.into_iter().zip(ys).collect(), histogram)
}

fn neurons<B: Backend>(
    pass: &Pass<'_, B>,
    layer: usize,
    position: usize,
    pre: &Matrix,
    post: &Matrix,
) -> Vec<Neuron> {
    let out = pass.model.h[layer].mlp.c_proj.weight.val(); // [d_ff, d_model]
    let lengths = to_vec(out.clone().square().sum_dim(1).sqrt()); // [d_ff, 1]
    let writes: Vec<f32> =
        post.row(position).iter().zip(&lengths).map(|(post, length)| post.abs() * length).collect();
    let chosen = largest(&writes, NEURONS);
    let d_model = pass.config().d_model;
    let written = chosen.iter().flat_map(|index| {
        let row = to_vec(out.clone().narrow(0, *index, 1));
        let added: Vec<f32> = row.iter().map(|weight| weight * post.row(position)[*index]).collect();
        debug_assert!((length(&added) - writes[*index]).abs() <= 1e-3 * writes[*index].max(1.0));
        pass.through_final_norm(&added, position)
    });
    let logits = pass.scores(&Matrix::new(d_model, written.collect()));
    let neuron = |(index, logits): (usize, &[f32])| {
        let lowered: Vec<f32> = logits.iter().map(|logit| -logit).collect();
        let lowers = top(&lowered, TOKENS, pass.names).into_iter();
        Neuron {
            index,
            pre: pre.row(position)[index],
            post: post.row(position)[index],
            writes: writes[index],
            activations: post.rows().map(|row| row[index]).collect(),
            raises: top(logits, TOKENS, pass.names),
            lowers: lowers.map(|token| TokenValue { value: -token.value, ..token }).collect(),
        }
    };
    chosen.into_iter().zip(logits.rows()).map(neuron).collect()
}
