//! The logit lens: what the model would say if it stopped early.

use kiln_model::{Backend, GptModel, NoTap, Site};
use serde::Serialize;

use super::Recorder;
use crate::error::Result;
use crate::logits::check_finite;
use crate::logprobs::TokenLogprob;
use crate::tokens::to_vec;

/// What the head makes of the residual stream on its way up: the final norm and the head, applied to the stream between any
/// two layers (<https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens>).
///
/// Its last row is what the model says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogitLens {
    /// From the embedding to the last block.
    pub rows: Vec<LensRow>,
}

/// The stream at one place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LensRow {
    /// The name of the place, `blocks.0.hook_resid_mid`.
    pub site: String,
    /// The most probable successors of each position, best first: `[seq][top]`.
    pub top: Vec<Vec<LensToken>>,
    /// The token that does follow, for each position but the last: `[seq - 1]`.
    pub next: Vec<LensNext>,
}

/// A token that the lens shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LensToken {
    /// Its id.
    pub token: u32,
    /// Its probability.
    pub probability: f64,
}

/// How the lens ranks the token that follows in the text.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LensNext {
    /// Its id.
    pub token: u32,
    /// Its probability.
    pub probability: f64,
    /// How many tokens have a larger logit.
    pub rank: usize,
}

/// The places that the lens reads: the stream before the first block and after each layer.
pub fn lens_sites(n_layers: usize) -> Vec<Site> {
    let layers = (0..n_layers).flat_map(|layer| [Site::ResidMid(layer), Site::ResidPost(layer)]);
    std::iter::once(Site::ResidPre(0)).chain(layers).collect()
}

/// The logits that the head makes of the stream at `site`, row by row: `[batch * seq * vocab]`.
///
/// # Panics
///
/// If `recorder` did not record `site`, or it is none of the stream.
pub fn lens_logits<B: Backend>(model: &GptModel<B>, recorder: &Recorder<B>, site: Site) -> Vec<f32> {
    let stream = recorder.get(site).expect("the stream was recorded").tensor::<3>();
    to_vec(model.logits(stream, &mut NoTap)) // [batch, seq, vocab]
}

/// The `top` most probable successors of each position of one text, at each of [`lens_sites`], and the rank of the real one.
///
/// # Errors
///
/// [`Error::NotFinite`](crate::Error::NotFinite) if the model computes what is no number.
///
/// # Panics
///
/// If `recorder` did not record [`lens_sites`] for these tokens alone.
pub fn logit_lens<B: Backend>(
    model: &GptModel<B>,
    recorder: &Recorder<B>,
    tokens: &[u32],
    top: usize,
) -> Result<LogitLens> {
    let vocab = model.config().vocab_size;
    let rows = lens_sites(model.config().n_layers).into_iter().map(|site| {
        let logits = lens_logits(model, recorder, site);
        assert_eq!(logits.len(), tokens.len() * vocab, "a recording of these tokens alone");
        check_finite(&logits, vocab, 0)?;
        let mut row = LensRow { site: site.to_string(), top: Vec::new(), next: Vec::new() };
        for (position, logits) in logits.chunks(vocab).enumerate() {
            let next = tokens.get(position + 1).copied();
            let found = TokenLogprob::of(logits, next.unwrap_or_default(), top);
            let best = found.top.iter();
            row.top
                .push(best.map(|(token, log)| LensToken { token: *token, probability: log.exp() }).collect());
            row.next.extend(next.map(|token| LensNext {
                token,
                probability: found.logprob.exp(),
                rank: rank(logits, token),
            }));
        }
        Ok(row)
    });
    Ok(LogitLens { rows: rows.collect::<Result<_>>()? })
}

/// How many tokens have a larger logit.
pub(super) fn rank(logits: &[f32], token: u32) -> usize {
    let own = logits[token as usize];
    logits.iter().filter(|logit| **logit > own).count()
}
