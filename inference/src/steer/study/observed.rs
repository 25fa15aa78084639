//! A model, watched while it writes.

use burn::tensor::activation::log_softmax;
use kiln_model::{Backend, GptModel, Site};

use super::Word;
use crate::error::Result;
use crate::inspect::Recorder;
use crate::tokens::{to_vec, upload};

/// The residual stream behind texts, and where the word stands or might stand in them.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    /// The texts, prompt and all.
    pub(super) texts: Vec<Vec<u32>>,
    /// Width of the stream.
    pub(super) d_model: usize,
    /// The stream at each position but the first of each text, `[positions, d_model]`.
    pub(super) stream: Vec<f32>,
    /// What is known of each of these positions.
    pub(super) positions: Vec<Position>,
}

/// A position of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) text: usize,
    pub(super) at: usize,
    /// Whether the word begins at the next one.
    pub(super) is_before_word: bool,
    /// Whether it is the last one of the word.
    pub(super) is_word: bool,
    /// Log-probability that the word begins at the next one.
    pub(super) logprob: f64,
}

/// The word may come next where the model thinks it at least as likely as this; and it is not all but certain.
const POSSIBLE: std::ops::Range<f64> = 0.005..0.95;

impl Observed {
    /// Reads texts, and keeps the stream at `site`.
    ///
    /// # Errors
    ///
    /// If a text cannot be read by the model.
    pub(super) fn of<B: Backend>(
        model: &GptModel<B>,
        texts: Vec<Vec<u32>>,
        word: &Word,
        site: Site,
        progress: &mut dyn FnMut(),
    ) -> Result<Self> {
        let d_model = model.config().d_model;
        let (mut stream, mut positions) = (Vec::new(), Vec::new());
        for (text, tokens) in texts.iter().enumerate() {
            crate::tokens::check_tokens(model, tokens)?;
            let mut recorder = Recorder::of([site]);
            let logits = model.forward_tapped(upload(model, tokens), None, &mut recorder);
            let logprobs = word_logprobs(logits, word);
            let recorded = recorder.get(site).map(|recorded| recorded.to_vec()).unwrap_or_default();
            stream.extend_from_slice(&recorded[d_model..]);
            let mut ends = vec![false; tokens.len() + 1];
            for at in 0..tokens.len() {
                if let Some(len) = word.len_at(tokens, at) {
                    ends[at + len - 1] = true;
                }
            }
            positions.extend((1..tokens.len()).map(|at| Position {
                text,
                at,
                is_before_word: at + 1 < tokens.len() && word.len_at(tokens, at + 1).is_some(),
                is_word: ends[at],
                logprob: logprobs[at],
            }));
            progress();
        }
        Ok(Self { texts, d_model, stream, positions })
    }

    /// Positions at which the word may come next, as far as the model knows.
    pub(super) fn choices(&self) -> impl Iterator<Item = (usize, &Position)> {
        let possible = |position: &Position| POSSIBLE.contains(&position.logprob.exp());
        self.positions.iter().enumerate().filter(move |(_, position)| possible(position))
    }

    /// The stream at a position.
    pub(super) fn at(&self, position: usize) -> &[f32] {
        &self.stream[position * self.d_model..][..self.d_model]
    }

    /// Mean norm of the stream.
    pub(super) fn mean_norm(&self) -> f64 {
        let norms = self.stream.chunks(self.d_model).map(|row| f64::from(crate::vectors::norm(row)));
        norms.sum::<f64>() / self.positions.len().max(1) as f64
    }
}

/// Log-probability that the word begins behind each position of a text: of `[1, seq, vocab]` logits.
pub(super) fn word_logprobs<B: Backend>(logits: burn::tensor::Tensor<B, 3>, word: &Word) -> Vec<f64> {
    let [_, seq, _] = logits.dims();
    let logprobs = log_softmax(logits, 2);
    let mut sums = vec![0.0; seq];
    for token in word.first_tokens() {
        let of_token = to_vec(logprobs.clone().narrow(2, token as usize, 1)); // seq
        sums.iter_mut().zip(of_token).for_each(|(sum, logprob)| *sum += f64::from(logprob).exp());
    }
    sums.into_iter().map(|sum| sum.max(f64::MIN_POSITIVE).ln()).collect()
}
