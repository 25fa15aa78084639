//! The loss of a model on a corpus.

use burn::tensor::{Tensor, TensorData};
use kiln_datasets::{TokenShard, Windows};
use kiln_model::{Backend, GptModel};
use serde::Serialize;

/// What an evaluation found, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean cross-entropy in nats per token.
    pub loss: f64,
    /// `e^loss`.
    pub perplexity: f64,
    /// Loss in bits per byte of text: comparable between tokenizers.
    pub bits_per_byte: f64,
    /// Tokens predicted.
    pub tokens: usize,
    /// What was predicted from what.
    pub protocol: String,
}

/// Predicts every token of a shard but the first, in consecutive windows that do not overlap.
///
/// `progress` hears of batches done and in all.
///
/// # Panics
///
/// If the shard has fewer than two tokens.
pub fn evaluate<B: Backend>(
    model: &GptModel<B>,
    shard: &TokenShard,
    batch_size: usize,
    mut progress: impl FnMut(usize, usize),
) -> Evaluation {
    assert!(shard.len() > 1, "a shard of {} tokens has nothing to predict", shard.len());
    let context_length = model.config().context_length;
    let device = model.wte.weight.device();
    let windows = Windows::new(shard, batch_size, context_length);
    let total = windows.num_batches();
    let (mut sum, mut tokens) = (0.0, 0);
    for (done, batch) in windows.enumerate() {
        progress(done, total);
        let count = batch.num_tokens();
        let shape = [batch.windows, batch.seq];
        let upload = |values| Tensor::from_data(TensorData::new(values, shape), &device);
        let loss = model.loss(upload(batch.inputs), upload(batch.targets));
        sum += loss.into_data().iter::<f64>().sum::<f64>() * count as f64;
        tokens += count;
    }
    progress(total, total);
    let loss = sum / tokens as f64;
    // The first token is not predicted; its bytes are left out in proportion.
    let bytes = shard.text_bytes() as f64 * tokens as f64 / shard.len() as f64;
    Evaluation {
        loss,
        perplexity: loss.exp(),
        bits_per_byte: loss * tokens as f64 / bytes / std::f64::consts::LN_2,
        tokens,
        protocol: format!(
            "every token but the first, in consecutive windows of {context_length} that do not overlap"
        ),
    }
}
