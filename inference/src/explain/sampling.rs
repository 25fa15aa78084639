//! From logits to the next token: temperature, top-k, top-p.

use kiln_model::Backend;
use serde::Serialize;

use super::matrix::softmax;
use super::pass::Pass;
use super::top::{TokenValue, largest, top};
use crate::Sampling;

/// Tokens whose logits are kept one by one.
const KEPT: usize = 256;
/// Bars that the logits of the others are counted in.
const BARS: usize = 512;
/// Tokens that are shown with what each step makes of them.
const SHOWN: usize = 10;

/// How the token after one position would be drawn.
#[derive(Clone, Debug, Serialize)]
pub struct SamplingPanel {
    /// Position whose prediction this is.
    pub position: usize,
    /// Number of tokens.
    pub vocab: usize,
    /// The most probable tokens and their logits.
    pub logits: Vec<TokenValue>,
    /// Where the logits of all other tokens lie: the lowest, the width of each bar, and how many lie in each.
    pub rest: (f32, f32, Vec<usize>),
    /// The most probable tokens, and their probability at these settings.
    pub candidates: Vec<Candidate>,
}

/// What each setting makes of the probability of one token.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// Its logit.
    pub logit: f32,
    /// `softmax(logits)`
    pub probability: f32,
    /// At temperature 0.5.
    pub temperature_0_5: f32,
    /// At temperature 1.5.
    pub temperature_1_5: f32,
    /// Among the 5 most probable ones.
    pub top_k_5: f32,
    /// Among the most probable ones that together reach 0.9.
    pub top_p_0_9: f32,
}

impl SamplingPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>, position: usize) -> Self {
        let logits = pass.logits.row(position);
        let kept = top(logits, KEPT, pass.names);
        let lowest_kept = kept.last().map_or(f32::INFINITY, |token| token.value);
        let mut is_kept = vec![false; logits.len()];
        kept.iter().for_each(|token| is_kept[token.id as usize] = true);
        let others = || logits.iter().zip(&is_kept).filter(|(_, kept)| !**kept).map(|(logit, _)| *logit);
        let low = others().fold(lowest_kept, f32::min);
        let width = ((lowest_kept - low) / BARS as f32).max(f32::MIN_POSITIVE);
        let mut counts = vec![0; if others().next().is_some() { BARS } else { 0 }];
        for logit in others() {
            counts[(((logit - low) / width) as usize).min(BARS - 1)] += 1;
        }
        let at = |sampling: Sampling| probabilities(logits, &sampling);
        let plain = Sampling { temperature: 1.0, ..Sampling::default() };
        let [one, half, more, top_k, top_p] = [
            plain.clone(),
            Sampling { temperature: 0.5, ..plain.clone() },
            Sampling { temperature: 1.5, ..plain.clone() },
            Sampling { top_k: 5, ..plain.clone() },
            Sampling { top_p: 0.9, ..plain },
        ]
        .map(at);
        let candidates = kept.iter().take(SHOWN).map(|token| {
            let id = token.id as usize;
            Candidate {
                id: token.id,
                text: token.text.clone(),
                logit: token.value,
                probability: one[id],
                temperature_0_5: half[id],
                temperature_1_5: more[id],
                top_k_5: top_k[id],
                top_p_0_9: top_p[id],
            }
        });
        Self {
            position,
            vocab: logits.len(),
            candidates: candidates.collect(),
            logits: kept,
            rest: (low, width, counts),
        }
    }
}

/// Probabilities of all tokens by temperature, then top-k, then top-p.
fn probabilities(logits: &[f32], sampling: &Sampling) -> Vec<f32> {
    let divided: Vec<f32> = logits.iter().map(|logit| logit / sampling.temperature as f32).collect();
    let mut probabilities = softmax(&divided);
    if sampling.top_k > 0 {
        keep(&mut probabilities, &largest(&divided, sampling.top_k));
    }
    if sampling.top_p < 1.0 {
        let order = largest(&probabilities, logits.len());
        let mut mass = 0.0;
        let reached = order.iter().position(|token| {
            mass += f64::from(probabilities[*token]);
            mass >= sampling.top_p
        });
        keep(&mut probabilities, &order[..reached.map_or(order.len(), |last| last + 1)]);
    }
    probabilities
}

/// Only these, and what they had is shared out among them.
fn keep(probabilities: &mut [f32], kept: &[usize]) {
    let sum: f32 = kept.iter().map(|token| probabilities[*token]).sum();
    let shared: Vec<f32> = kept.iter().map(|token| probabilities[*token] / sum).collect();
    probabilities.fill(0.0);
    kept.iter().zip(shared).for_each(|(token, share)| probabilities[*token] = share);
}
