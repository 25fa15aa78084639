//! The logit lens: what the model would predict if it ended after each block.

use kiln_model::{Backend, Site};
use serde::Serialize;

use super::matrix::{Matrix, softmax};
use super::pass::Pass;
use super::top::{TokenValue, top};
use crate::lens_logits;

/// Predictions that are kept of each place.
const TOP: usize = 5;

/// What the head makes of the residual stream after each block (<https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru>).
#[derive(Clone, Debug, Serialize)]
pub struct LensPanel {
    /// The stream before the first block, then after each one; the last row is what the model predicts.
    pub rows: Vec<LensRow>,
}

/// The predictions of one depth.
#[derive(Clone, Debug, Serialize)]
pub struct LensRow {
    /// Name of the place.
    pub site: String,
    /// The most probable next tokens at each position, with their probabilities.
    pub top: Vec<Vec<TokenValue>>,
    /// Entropy of the prediction at each position, in nats.
    pub entropy: Vec<f32>,
    /// Probability of the token that does come next; none at the last position.
    pub next_probability: Vec<Option<f32>>,
    /// How many tokens are more probable than the one that comes next.
    pub next_rank: Vec<Option<usize>>,
}

impl LensPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>) -> Self {
        let n_layers = pass.config().n_layers;
        let sites = std::iter::once(Site::ResidPre(0)).chain((0..n_layers).map(Site::ResidPost));
        let rows = sites.map(|site| {
            if site == Site::ResidPost(n_layers - 1) {
                return LensRow::of(pass, site, &pass.logits);
            }
            let logits = lens_logits(pass.model, &pass.recorder, site);
            LensRow::of(pass, site, &Matrix::new(pass.config().vocab_size, logits))
        });
        Self { rows: rows.collect() }
    }
}

impl LensRow {
    fn of<B: Backend>(pass: &Pass<'_, B>, site: Site, logits: &Matrix) -> Self {
        let mut row = Self {
            site: site.to_string(),
            top: Vec::new(),
            entropy: Vec::new(),
            next_probability: Vec::new(),
            next_rank: Vec::new(),
        };
        for (position, logits) in logits.rows().enumerate() {
            let probabilities = softmax(logits);
            let next = pass.tokens.get(position + 1).map(|next| *next as usize);
            let surprise = |p: &f32| if *p > 0.0 { -p * p.ln() } else { 0.0 };
            row.top.push(top(&probabilities, TOP, pass.names));
            row.entropy.push(probabilities.iter().map(surprise).sum());
            row.next_probability.push(next.map(|next| probabilities[next]));
            row.next_rank.push(next.map(|next| logits.iter().filter(|logit| **logit > logits[next]).count()));
        }
        row
    }
}
