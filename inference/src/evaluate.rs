//! The loss of a model on a corpus.

use burn::tensor::ElementConversion;
use kiln_datasets::Windows;
use kiln_model::{Backend, GptModel, MeanLoss, NoTap, Tap, token_tensor};
use serde::Serialize;

use crate::error::{Error, Result};

/// How well a model predicts a corpus, and how that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CorpusLoss {
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

/// Predicts every token but the first of the shard that these windows cover.
///
/// `progress` hears how many batches are done, and of how many.
///
/// # Errors
///
/// [`Error::LossNotFinite`] if the model computes no number.
///
/// # Panics
///
/// If the shard has fewer than two tokens.
pub fn evaluate<B: Backend>(
    model: &GptModel<B>,
    windows: Windows<'_>,
    progress: impl FnMut(usize, usize),
) -> Result<CorpusLoss> {
    evaluate_tapped(model, windows, &mut NoTap, progress)
}

/// [`evaluate()`] with a tap, for instance one that [steers](crate::SteeringTap).
///
/// # Errors
///
/// Those of [`evaluate()`].
///
/// # Panics
///
/// As [`evaluate()`].
pub fn evaluate_tapped<B: Backend>(
    model: &GptModel<B>,
    windows: Windows<'_>,
    tap: &mut impl Tap<B>,
    mut progress: impl FnMut(usize, usize),
) -> Result<CorpusLoss> {
    let shard = windows.shard();
    assert!(shard.len() > 1, "a shard of {} tokens has nothing to predict", shard.len());
    let device = model.device();
    let (total, protocol) = (windows.num_batches(), windows.protocol());
    let mut mean = MeanLoss::default();
    for (done, batch) in windows.enumerate() {
        progress(done, total);
        let (shape, targets) = ([batch.windows, batch.seq], batch.num_targets());
        let upload = |ids| token_tensor(ids, shape, &device);
        let loss = model.loss_tapped(upload(batch.inputs), upload(batch.targets), tap);
        let loss: f64 = loss.into_scalar().elem();
        if !loss.is_finite() {
            let first = mean.targets() + 1;
            return Err(Error::LossNotFinite { first, last: first + targets - 1, loss });
        }
        mean.add(loss, targets);
    }
    progress(total, total);
    let (loss, tokens) = (mean.mean(), mean.targets());
    // The first token is not predicted; its bytes are left out in proportion.
    let bytes = shard.text_bytes() as f64 * tokens as f64 / shard.len() as f64;
    Ok(CorpusLoss {
        loss,
        perplexity: loss.exp(),
        bits_per_byte: loss * tokens as f64 / bytes / std::f64::consts::LN_2,
        tokens,
        protocol,
    })
}
