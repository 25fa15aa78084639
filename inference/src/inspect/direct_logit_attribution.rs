//! Direct logit attribution: which component speaks for a token, and which against it.

use burn::tensor::Tensor;
use kiln_model::{Backend, GptModel, NormKind, NormSite, Site, token_tensor};
use serde::Serialize;

use super::Recorder;
use super::head_results::head_results;
use crate::error::Result;
use crate::tokens::{check_tokens, to_vec};

/// A logit as a sum over what was written into the residual stream.
///
/// The final norm is linear once its divisor `σ` is known. With that of the run, what a component `c` adds is
///
/// `((c - mean(c)) / σ · γ) · (W[token] - W[against])`
///
/// where an RMS norm subtracts no mean. These and `β · (W[token] - W[against])` sum to the logit, or to the difference of two
/// (<https://arxiv.org/abs/2211.00593>, §3.1). Where logits are capped, it is the one before the cap.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogitAttribution {
    /// The position whose logits these are.
    pub position: usize,
    /// The token.
    pub token: u32,
    /// The token whose logit is subtracted, if one is.
    pub against: Option<u32>,
    /// What each component adds.
    pub components: Vec<Component>,
    /// What the bias of the final norm adds.
    pub constant: f64,
    /// The sum of all.
    pub logit: f64,
}

/// What one component adds to a logit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Component {
    /// `embed`, `pos_embed`, `L0H1` for a head, `0_attn_bias` for the bias behind all heads of a block, `0_mlp_out`.
    pub name: String,
    /// Its block.
    pub layer: Option<usize>,
    /// Its head.
    pub head: Option<usize>,
    /// What it adds.
    pub value: f64,
}

/// The places that [`direct_logit_attribution`] reads.
pub fn attribution_sites(n_layers: usize) -> Vec<Site> {
    let mut sites = vec![Site::Embed, Site::PosEmbed, Site::NormScale(NormSite::Final)];
    sites.extend((0..n_layers).flat_map(|layer| [Site::Mixed(layer), Site::MlpOut(layer)]));
    sites
}

/// What each component adds, at one position of one text, to the logit of `token`; with `against`, to the difference of both
/// tokens' logits.
///
/// # Errors
///
/// [`Error::UnknownToken`](crate::Error::UnknownToken) for a token that the model does not have.
///
/// # Panics
///
/// If `recorder` did not record [`attribution_sites`], or not this position.
pub fn direct_logit_attribution<B: Backend>(
    model: &GptModel<B>,
    recorder: &Recorder<B>,
    position: usize,
    token: u32,
    against: Option<u32>,
) -> Result<LogitAttribution> {
    check_tokens(model, &[token, against.unwrap_or(token)])?;
    let direction = head_direction(model, token, against); // [d_model]
    let scale = recorder.get(Site::NormScale(NormSite::Final)).expect("the final scale was recorded");
    let scale = f64::from(scale.to_vec()[position]);
    let gamma = to_vec(model.ln_f.weight.val()); // [d_model]
    let mut reading: Vec<f64> = // [d_model]
        gamma.iter().zip(&direction).map(|(gamma, weight)| f64::from(*gamma) * weight / scale).collect();
    if model.config().norm == NormKind::LayerNorm {
        // (c - mean(c)) · r = c · (r - mean(r))
        let mean = reading.iter().sum::<f64>() / reading.len() as f64;
        reading.iter_mut().for_each(|weight| *weight -= mean);
    }
    let constant = model.ln_f.bias.as_ref().map_or(0.0, |bias| dot(&to_vec(bias.val()), &direction));
    let mut components = Vec::new();
    for (name, layer, head, vector, share) in written(model, recorder, position) {
        components.push(Component { name, layer, head, value: share * dot(&vector, &reading) });
    }
    let logit = constant + components.iter().map(|component| component.value).sum::<f64>();
    Ok(LogitAttribution { position, token, against, components, constant, logit })
}

/// `W[token] - W[against]`, or `W[token]`: `[d_model]`.
fn head_direction<B: Backend>(model: &GptModel<B>, token: u32, against: Option<u32>) -> Vec<f64> {
    let head = model.lm_head.as_ref().unwrap_or(&model.wte);
    let row = |token: u32| to_vec(head.forward(token_tensor(vec![token], [1, 1], &model.device())));
    let subtracted = against.map_or(vec![0.0; model.config().d_model], row);
    row(token).iter().zip(subtracted).map(|(own, other)| f64::from(*own) - f64::from(other)).collect()
}

fn dot(vector: &[f32], reading: &[f64]) -> f64 {
    vector.iter().zip(reading).map(|(number, weight)| f64::from(*number) * weight).sum()
}

/// A component's name, block, head, vector `[d_model]` at the position, and how much of it reaches the final norm.
type Written = (String, Option<usize>, Option<usize>, Vec<f32>, f64);

/// Everything that was written into the stream at one position.
fn written<B: Backend>(model: &GptModel<B>, recorder: &Recorder<B>, position: usize) -> Vec<Written> {
    let vector = |site: Site| {
        let value = recorder.get(site)?.tensor::<3>(); // [1, seq, d_model]
        Some(to_vec(value.narrow(1, position, 1)))
    };
    let shares = Shares::of(model);
    let mut written = Vec::new();
    let embed = vector(Site::Embed).expect("the embedding was recorded");
    written.push(("embed".into(), None, None, embed, shares.embedding));
    // Of models with rotary positions there is none.
    written.extend(
        vector(Site::PosEmbed).map(|positions| ("pos_embed".into(), None, None, positions, shares.embedding)),
    );
    for (layer, share) in shares.blocks.into_iter().enumerate() {
        let mixed = recorder.get(Site::Mixed(layer)).expect("the mixed values were recorded");
        let mixed: Tensor<B, 4> = mixed.tensor::<4>().narrow(2, position, 1); // [1, n_heads, 1, head_dim]
        let results = to_vec(head_results(model, layer, mixed)); // [1, 1, n_heads, d_model]
        for (head, result) in results.chunks(model.config().d_model).enumerate() {
            written.push((format!("L{layer}H{head}"), Some(layer), Some(head), result.to_vec(), share));
        }
        if let Some(bias) = &model.h[layer].attn.c_proj.bias {
            written.push((format!("{layer}_attn_bias"), Some(layer), None, to_vec(bias.val()), share));
        }
        let mlp = vector(Site::MlpOut(layer)).expect("the output of each layer was recorded");
        written.push((format!("{layer}_mlp_out"), Some(layer), None, mlp, share));
    }
    written
}

/// How much of what is written reaches the final norm: all, but for [`ResidualScalars`](kiln_model::ResidualScalars).
struct Shares {
    embedding: f64,
    /// `[n_layers]`
    blocks: Vec<f64>,
}

impl Shares {
    fn of<B: Backend>(model: &GptModel<B>) -> Self {
        let n_layers = model.config().n_layers;
        let mut shares = Self { embedding: 1.0, blocks: vec![1.0; n_layers] };
        let Some(scalars) = &model.scalars else { return shares };
        let [residual, embedding] =
            [&scalars.residual, &scalars.embedding].map(|scalars| to_vec(scalars.weight.val()));
        for (layer, (residual, embedding)) in residual.into_iter().zip(embedding).enumerate() {
            let residual = f64::from(residual);
            shares.embedding = residual * shares.embedding + f64::from(embedding);
            shares.blocks[..layer].iter_mut().for_each(|share| *share *= residual);
        }
        shares
    }
}
