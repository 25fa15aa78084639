//! Gradients, with and without shortcuts: why each block adds to what came in.

use burn::tensor::Tensor;
use kiln_model::{AutodiffBackend, Backend, GptModel, Linear, NoTap, Site, Tap, Watch, token_tensor};
use serde::Serialize;

/// How large gradients are in each block when the model predicts this text, as it is and with its shortcuts cut: then a block
/// passes on what its layers make, and not what came in.
#[derive(Clone, Debug, Serialize)]
pub struct GradientsPanel {
    /// Mean cross-entropy of the text, in nats per token.
    pub loss: f32,
    /// The same without shortcuts.
    pub loss_without: f32,
    /// The blocks.
    pub layers: Vec<LayerGradients>,
    /// How many times larger the first block's gradients are with shortcuts.
    pub first_ratio: f32,
}

/// Mean of `|∂loss/∂w|` over the weight matrices of one block.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LayerGradients {
    /// Block.
    pub layer: usize,
    /// As the model is.
    pub with_shortcuts: f32,
    /// With shortcuts cut.
    pub without_shortcuts: f32,
    /// Of the matrix that makes queries, keys and values.
    pub qkv: f32,
    /// Of attention's output projection.
    pub attention_out: f32,
    /// Of the feed-forward network's first matrix.
    pub mlp_in: f32,
    /// Of its last.
    pub mlp_out: f32,
}

impl GradientsPanel {
    /// `None` for a text of one token, which predicts nothing.
    pub(super) fn of<B: AutodiffBackend>(model: &GptModel<B>, tokens: &[u32]) -> Option<Self> {
        let (last, given) = tokens.split_last()?;
        if given.is_empty() {
            return None;
        }
        let targets = [&given[1..], &[*last]].concat();
        // What is shown should be the same each time.
        let model = model.clone().with_dropout(0.0);
        let (loss, with) = measure(&model, given, &targets, &mut NoTap);
        let (loss_without, without) = measure(&model, given, &targets, &mut NoShortcuts { added: None });
        let mean = |matrices: &[(f32, usize)]| {
            let count: usize = matrices.iter().map(|(_, count)| count).sum();
            matrices.iter().map(|(mean, count)| mean * *count as f32).sum::<f32>() / count as f32
        };
        let layers: Vec<LayerGradients> = with
            .iter()
            .zip(&without)
            .enumerate()
            .map(|(layer, (with, without))| LayerGradients {
                layer,
                with_shortcuts: mean(with),
                without_shortcuts: mean(without),
                qkv: with[0].0,
                attention_out: with[1].0,
                mlp_in: with[2].0,
                mlp_out: with[3].0,
            })
            .collect();
        let first_ratio = layers[0].with_shortcuts / layers[0].without_shortcuts;
        Some(Self { loss, loss_without, layers, first_ratio })
    }
}

/// The loss, and for each block the mean gradient and the size of each of its matrices.
fn measure<B: AutodiffBackend>(
    model: &GptModel<B>,
    tokens: &[u32],
    targets: &[u32],
    tap: &mut impl Tap<B>,
) -> (f32, Vec<Vec<(f32, usize)>>) {
    let tensor = |ids: &[u32]| token_tensor(ids.to_vec(), [1, ids.len()], &model.device());
    let loss = model.loss_tapped(tensor(tokens), tensor(targets), tap);
    let gradients = loss.backward();
    let of = |linear: &Linear<B>| {
        let weight = linear.weight.val();
        let gradient = weight.grad(&gradients);
        (gradient.map_or(0.0, mean_absolute), weight.shape().num_elements())
    };
    let blocks = model.h.iter().map(|block| {
        let (attn, mlp) = (&block.attn, &block.mlp);
        let matrices = [&attn.c_attn, &attn.c_proj, &mlp.c_fc, &mlp.c_proj].into_iter().chain(&mlp.c_gate);
        matrices.map(of).collect()
    });
    let blocks = blocks.collect();
    (loss.into_data().iter::<f32>().next().unwrap_or(f32::NAN), blocks)
}

/// `mean(|x|)`
pub(super) fn mean_absolute<B: Backend, const D: usize>(values: Tensor<B, D>) -> f32 {
    values.abs().mean().into_data().iter::<f32>().next().unwrap_or(f32::NAN)
}

/// Cuts the shortcuts: instead of `x + f(x)`, `f(x)` goes on.
struct NoShortcuts<B: Backend> {
    added: Option<Tensor<B, 1>>,
}

impl<B: Backend> Tap<B> for NoShortcuts<B> {
    fn watches(&self) -> Watch {
        Watch::Stream
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        match site {
            Site::AttnOut(_) | Site::MlpOut(_) => {
                let numbers = value.shape().num_elements();
                self.added = Some(value.clone().reshape([numbers]));
            }
            Site::ResidMid(_) | Site::ResidPost(_) => {
                let added = self.added.take().expect("a layer adds before its sum is shown");
                return added.reshape(value.dims());
            }
            _ => {}
        }
        value
    }
}
