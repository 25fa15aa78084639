//! Activation patching: which places of the residual stream carry the difference between two texts.

use kiln_model::Backend;
use serde::Serialize;

use super::matrix::Matrix;
use super::pass::Pass;
use crate::error::Result;
use crate::{Direction, PatchTask, PatchedValue, activation_patching};

/// The model reads another text, each time with one value of the stream put there as it was in this one. What brings the answer
/// back carries it (<https://arxiv.org/abs/2404.15255>).
#[derive(Clone, Debug, Serialize)]
pub struct PatchingPanel {
    /// The other text, token by token.
    pub corrupt: Vec<String>,
    /// The two answers.
    pub answers: [String; 2],
    /// `logit(first) - logit(second)` after the text.
    pub clean_difference: f64,
    /// The same after the other text.
    pub corrupt_difference: f64,
    /// What one patch brings back, `(patched - corrupt) / (clean - corrupt)`: of what enters each block, `[n_layers, seq]`.
    pub restored: Matrix,
}

impl PatchingPanel {
    pub(super) fn of<B: Backend>(
        pass: &Pass<'_, B>,
        corrupt: &[u32],
        answers: [u32; 2],
        progress: impl FnMut(usize, usize),
    ) -> Result<Self> {
        let clean = pass.tokens.to_vec();
        let task = PatchTask { clean, corrupt: corrupt.to_vec(), answers, direction: Direction::Denoising };
        let patching = activation_patching(pass.model, &task, &[PatchedValue::ResidPre], progress)?;
        let effect = patching.grids[0].effect.iter().flatten().map(|effect| *effect as f32);
        Ok(Self {
            corrupt: corrupt.iter().map(|token| pass.names.text(*token)).collect(),
            answers: answers.map(|token| pass.names.text(token)),
            clean_difference: patching.clean.logit_difference,
            corrupt_difference: patching.corrupt.logit_difference,
            restored: Matrix::new(corrupt.len(), effect.collect()),
        })
    }
}
