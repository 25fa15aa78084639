//! All heads at a glance: what each attends to, how widely, and which well-known kind it resembles.

use std::ops::Range;

use kiln_model::{Backend, Site};
use serde::Serialize;

use super::matrix::{Matrix, mean};
use super::pass::Pass;
use crate::HeadGrid;
use crate::inspect::head_scores_of;

/// The attention patterns of all heads.
#[derive(Clone, Debug, Serialize)]
pub struct HeadsPanel {
    /// What the figures mean.
    pub meaning: [(&'static str, &'static str); 5],
    /// The heads, block by block.
    pub heads: Vec<HeadSummary>,
}

/// One head on this text.
#[derive(Clone, Debug, Serialize)]
pub struct HeadSummary {
    /// Block.
    pub layer: usize,
    /// Head.
    pub head: usize,
    /// How widely it looks, between 0, one place, and 1, all alike.
    pub entropy: f32,
    /// Weight on the position before.
    pub previous: f32,
    /// Weight on the first position.
    pub first: f32,
    /// Weight on earlier copies of the token itself; none where no token comes twice.
    pub duplicate: Option<f32>,
    /// Weight on what followed earlier copies of the token; none where no token comes twice.
    pub induction: Option<f32>,
    /// The weights, `[query, key]`.
    pub pattern: Matrix,
}

const MEANING: [(&str, &str); 5] = [
    ("entropy", "mean of -Σ a ln a / ln(i + 1) over the rows i ≥ 1: 0 looks at one place, 1 at all alike"),
    ("previous", "mean of A[i, i - 1] over the rows i ≥ 1"),
    ("first", "mean of A[i, 0] over the rows i ≥ 1"),
    ("duplicate", "mean weight on earlier copies of the token, over the rows that have one"),
    ("induction", "mean weight on what followed earlier copies of the token, over the rows that have one"),
];

impl HeadsPanel {
    /// The heads of these blocks.
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>, layers: Range<usize>) -> Self {
        let scores = head_scores_of(&pass.recorder, layers.clone(), pass.tokens);
        let all = layers
            .enumerate()
            .flat_map(|(row, layer)| (0..pass.config().n_heads).map(move |head| (row, layer, head)));
        let heads = all.map(|(row, layer, head)| {
            let pattern = pass.head_values(Site::Pattern(layer), head);
            let looks_back = pattern.rows().skip(1).map(|row| row[0]);
            let score = |grid: &HeadGrid| grid[row][head] as f32;
            HeadSummary {
                layer,
                head,
                entropy: score(&scores.entropy),
                previous: score(&scores.previous_token),
                first: mean(&looks_back.collect::<Vec<f32>>()),
                duplicate: scores.duplicate_token.as_ref().map(score),
                induction: scores.induction.as_ref().map(score),
                pattern,
            }
        });
        Self { meaning: MEANING, heads: heads.collect() }
    }
}
