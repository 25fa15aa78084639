//! What each head adds to the residual stream.

use burn::tensor::Tensor;
use kiln_model::{Backend, GptModel};

use super::Recorder;
use kiln_model::Site;

/// What each head of block number `layer` adds to the stream: its mixed values through its part of the output projection.
/// Their sum and the projection's bias are [`Site::AttnOut`].
///
/// # Shapes
///
/// - mixed: what [`Site::Mixed`] shows, `[batch, n_heads, seq, head_dim]`
/// - output: `[batch, seq, n_heads, d_model]`
///
/// # Panics
///
/// If the model has no block of this number, or one of another shape.
pub fn head_results<B: Backend>(model: &GptModel<B>, layer: usize, mixed: Tensor<B, 4>) -> Tensor<B, 4> {
    let projection = &model.h[layer].attn.c_proj;
    let [batch, n_heads, seq, head_dim] = mixed.dims();
    let d_model = model.config().d_model;
    // Each head alone, the others at zero: adapters and weights in fewer bits count as they do in the model.
    let alone = Tensor::<B, 2>::eye(n_heads, &mixed.device()).reshape([1, n_heads, n_heads, 1, 1]);
    let mixed = mixed.reshape([batch, 1, n_heads, seq, head_dim]) * alone; // [batch, n_heads, n_heads, seq, head_dim]
    let mixed = mixed.swap_dims(2, 3); // [batch, n_heads, seq, n_heads, head_dim]
    let mixed = mixed.reshape([batch * n_heads, seq, n_heads * head_dim]);
    let mut results = projection.forward(mixed); // [batch * n_heads, seq, d_model]
    if let Some(bias) = &projection.bias {
        results = results - bias.val().unsqueeze();
    }
    results.reshape([batch, n_heads, seq, d_model]).swap_dims(1, 2)
}

/// [`head_results`] of what was recorded.
///
/// # Panics
///
/// If [`Site::Mixed`] of this block was not.
pub fn recorded_head_results<B: Backend>(
    model: &GptModel<B>,
    recorder: &Recorder<B>,
    layer: usize,
) -> Tensor<B, 4> {
    let mixed = recorder.get(Site::Mixed(layer)).expect("the mixed values were recorded");
    head_results(model, layer, mixed.tensor())
}
