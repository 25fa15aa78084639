//! Everything that is known of each feature.

use burn::tensor::Tensor;
use kiln_datasets::Tokenizer;
use kiln_model::{Backend, GptModel, SparseAutoencoder};
use serde::Serialize;

use super::labels::{Labels, labels};
use super::names::{Name, Supports, best_name};
use super::readings::Readings;
use crate::tokens::to_vec;

/// Tokens that a direction raises or lowers most, which are listed.
const LOGITS: usize = 10;
/// Texts that are shown of each feature.
const CONTEXTS: usize = 20;
/// Bars of a histogram.
const BARS: usize = 20;
/// Features whose logits are computed at a time.
const AT_A_TIME: usize = 64;

/// A token, and by how much a direction changes its logit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    /// The token.
    pub token: u32,
    /// How much its logit changes with the feature.
    pub logit: f32,
}

/// A text at one place of which a feature is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Context {
    /// The position, of [`Readings`], at which the feature is as active as anywhere in this window.
    pub place: usize,
}

/// What is known of one feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureRecord {
    /// Its number.
    pub feature: usize,
    /// Share of the positions at which it is active.
    pub density: f64,
    /// Its largest value.
    pub max_activation: f32,
    /// The concept that it tells best, if any occurs often enough.
    pub name: Option<Name>,
    /// Tokens that its direction raises most, the first most.
    pub top: Vec<Ranked>,
    /// Tokens that its direction lowers most.
    pub bottom: Vec<Ranked>,
    /// Windows in which it is most active, each once, the first most.
    #[serde(skip)]
    pub contexts: Vec<Context>,
    /// How often its values lie in each of equal parts from 0 to the largest.
    pub histogram: Vec<u32>,
    /// How many tokens its direction changes by how much: the lowest, the highest, and counts of equal parts between.
    #[serde(skip)]
    pub logit_histogram: (f32, f32, Vec<u32>),
}

/// All features, and the texts that they were read on.
pub struct Catalogue {
    /// When each is active.
    pub readings: Readings,
    /// What is known of each, by its number.
    pub features: Vec<FeatureRecord>,
    pub(super) labels: Vec<Labels>,
    pub(super) supports: Vec<Supports>,
}

impl Catalogue {
    /// Looks at every feature of `sae`; `progress` hears how many are done, and of how many.
    pub fn of<B: Backend>(
        model: &GptModel<B>,
        sae: &SparseAutoencoder<B>,
        tokenizer: &Tokenizer,
        readings: Readings,
        mut progress: impl FnMut(usize, usize),
    ) -> Self {
        let labels = labels(&readings, tokenizer, tokenizer.end_of_text());
        let supports: Vec<Supports> = labels.iter().map(|labels| Supports::of(&readings, labels)).collect();
        let (d_sae, positions) = (sae.config().d_sae, readings.len().max(1) as f64);
        let head = model.lm_head.as_ref().unwrap_or(&model.wte).weight.val(); // [vocab, d_model]
        let vocab = tokenizer.vocab_size().min(head.dims()[0]);
        let head = head.narrow(0, 0, vocab).transpose(); // [d_model, vocab]
        let mut features = Vec::with_capacity(d_sae);
        for first in (0..d_sae).step_by(AT_A_TIME) {
            progress(first, d_sae);
            let count = AT_A_TIME.min(d_sae - first);
            let logits: Tensor<B, 2> = sae.w_dec.val().narrow(0, first, count).matmul(head.clone());
            let logits = to_vec(logits);
            for (row, feature) in logits.chunks_exact(vocab).zip(first..) {
                let active = &readings.active[feature];
                let name = labels
                    .iter()
                    .zip(&supports)
                    .filter_map(|(labels, supports)| best_name(&readings, labels, supports, active, None))
                    .max_by(|a, b| a.f1.total_cmp(&b.f1));
                let (top, bottom) = extremes(row);
                let max_activation = active.iter().map(|(_, value)| *value).fold(0.0, f32::max);
                features.push(FeatureRecord {
                    feature,
                    density: active.len() as f64 / positions,
                    max_activation,
                    name,
                    top,
                    bottom,
                    contexts: contexts(&readings, active),
                    histogram: histogram(active.iter().map(|(_, value)| *value), 0.0, max_activation),
                    logit_histogram: logit_histogram(row),
                });
            }
        }
        progress(d_sae, d_sae);
        Self { readings, features, labels, supports }
    }

    /// How active a feature is at the positions of a range.
    pub fn values(&self, feature: usize, range: std::ops::Range<usize>) -> Vec<f32> {
        let active = &self.readings.active[feature];
        let mut values = vec![0.0; range.len()];
        let from = active.partition_point(|(place, _)| (*place as usize) < range.start);
        for (place, value) in active[from..].iter().take_while(|(place, _)| (*place as usize) < range.end) {
            values[*place as usize - range.start] = *value;
        }
        values
    }

    /// The positions of the window around a context, at most `before` and `after` tokens from it.
    pub fn around(&self, context: Context, before: usize, after: usize) -> std::ops::Range<usize> {
        let (start, end) = self.readings.window(context.place);
        context.place.saturating_sub(before).max(start)..(context.place + after + 1).min(end)
    }
}

/// The tokens with the largest and the smallest logits.
fn extremes(logits: &[f32]) -> (Vec<Ranked>, Vec<Ranked>) {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let by_logit = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let ranked = |tokens: &[u32]| -> Vec<Ranked> {
        tokens.iter().map(|token| Ranked { token: *token, logit: logits[*token as usize] }).collect()
    };
    let count = LOGITS.min(logits.len());
    if count < logits.len() {
        order.select_nth_unstable_by(count, by_logit);
    }
    order[..count].sort_by(by_logit);
    let top = ranked(&order[..count]);
    let reversed = |a: &u32, b: &u32| by_logit(b, a);
    if count < logits.len() {
        order.select_nth_unstable_by(count, reversed);
    }
    order[..count].sort_by(reversed);
    (top, ranked(&order[..count]))
}

/// Where the feature is most active, once a window.
fn contexts(readings: &Readings, active: &[(u32, f32)]) -> Vec<Context> {
    let mut best: Vec<(u32, f32)> = Vec::new();
    for (place, value) in active {
        let window = readings.window(*place as usize);
        match best.last_mut() {
            Some((last, most)) if readings.window(*last as usize) == window => {
                if value > most {
                    (*last, *most) = (*place, *value);
                }
            }
            _ => best.push((*place, *value)),
        }
    }
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(CONTEXTS);
    best.into_iter().map(|(place, _)| Context { place: place as usize }).collect()
}

fn histogram(values: impl Iterator<Item = f32>, lowest: f32, highest: f32) -> Vec<u32> {
    let mut bars = vec![0; BARS];
    let width = (highest - lowest) / BARS as f32;
    for value in values {
        let bar = if width > 0.0 { ((value - lowest) / width) as usize } else { 0 };
        bars[bar.min(BARS - 1)] += 1;
    }
    bars
}

fn logit_histogram(logits: &[f32]) -> (f32, f32, Vec<u32>) {
    let lowest = logits.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (lowest, highest, histogram(logits.iter().copied(), lowest, highest))
}
