//! The residual stream: how it grows, and who writes to it.

use kiln_model::{Backend, Site};
use serde::Serialize;

use super::matrix::{Matrix, dot, length};
use super::pass::Pass;

/// How long the vectors of the residual stream are, block by block.
#[derive(Clone, Debug, Serialize)]
pub struct ResidualPanel {
    /// What the figures mean.
    pub meaning: &'static str,
    /// First position that the means count: the first of a text is often far longer than the others.
    pub first_position: usize,
    /// Mean length of what enters the first block.
    pub embedding: f32,
    /// Share of the embedding in the final stream.
    pub embedding_share: f32,
    /// The blocks.
    pub layers: Vec<ResidualRow>,
    /// Length at each position: of what enters the first block, and of what leaves each block, `[n_layers + 1, seq]`.
    pub norms: Matrix,
}

/// What one block does to the stream, as means over positions.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ResidualRow {
    /// Block.
    pub layer: usize,
    /// Length of what enters.
    pub before: f32,
    /// Length of what attention adds.
    pub attention: f32,
    /// Length of what the feed-forward network adds.
    pub mlp: f32,
    /// Length of what leaves.
    pub after: f32,
    /// Share of what attention adds in the final stream.
    pub attention_share: f32,
    /// Share of what the feed-forward network adds in the final stream.
    pub mlp_share: f32,
}

impl ResidualPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>) -> Self {
        let n_layers = pass.config().n_layers;
        let last = pass.values(Site::ResidPost(n_layers - 1));
        let first_position = usize::from(pass.tokens.len() > 1);
        let mean = |of: &dyn Fn(usize) -> f32| {
            let positions = first_position..pass.tokens.len();
            positions.clone().map(of).sum::<f32>() / positions.len() as f32
        };
        let lengths = |values: &Matrix| mean(&|position| length(values.row(position)));
        let share = |part: &Matrix| {
            mean(&|position| {
                let whole = last.row(position);
                dot(part.row(position), whole) / dot(whole, whole)
            })
        };
        let start = pass.values(Site::ResidPre(0));
        let mut norms: Vec<f32> = start.rows().map(length).collect();
        let layers = (0..n_layers).map(|layer| {
            let [before, attention, mlp, after] =
                [Site::ResidPre(layer), Site::AttnOut(layer), Site::MlpOut(layer), Site::ResidPost(layer)]
                    .map(|site| pass.values(site));
            norms.extend(after.rows().map(length));
            ResidualRow {
                layer,
                before: lengths(&before),
                attention: lengths(&attention),
                mlp: lengths(&mlp),
                after: lengths(&after),
                attention_share: share(&attention),
                mlp_share: share(&mlp),
            }
        });
        let layers = layers.collect();
        Self {
            meaning: "lengths ‖x‖, and shares c · x / ‖x‖² of each part c in the final stream x, which add up to 1",
            first_position,
            embedding: lengths(&start),
            embedding_share: share(&start),
            layers,
            norms: Matrix::new(pass.tokens.len(), norms),
        }
    }
}
