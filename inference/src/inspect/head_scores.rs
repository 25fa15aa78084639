//! What kind of head each is, by where it looks.

use std::ops::Range;

use burn::tensor::ElementConversion;
use kiln_datasets::mix;
use kiln_model::{Backend, GptModel, Site, cross_entropy, token_tensor};
use serde::Serialize;

use super::Recorder;
use crate::error::{Error, Result};
use crate::tokens::{check_tokens, upload};

/// A number for each head: `[n_layers][n_heads]`.
pub type HeadGrid = Vec<Vec<f64>>;

/// How the heads of a model look at one text. All but the entropy are shares of attention, from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HeadScores {
    /// `-Σ a ln a` over that of looking everywhere alike, `ln(i + 1)`: the mean over all positions `i` but the first.
    pub entropy: HeadGrid,
    /// Attention to the token before: the mean over all positions but the first.
    pub previous_token: HeadGrid,
    /// Attention to earlier tokens of the same id: the mean over positions that have one. None where no token comes twice.
    pub duplicate_token: Option<HeadGrid>,
    /// Attention to tokens that follow an earlier one of the same id: the mean over positions that have one
    /// (<https://arxiv.org/abs/2209.11895>). None where no token comes twice.
    pub induction: Option<HeadGrid>,
    /// The same as shares of all attention, of all positions together.
    pub detected: DetectedHeads,
}

/// `Σ(A · D) / ΣA` for the pattern `A` of a head and a pattern `D` of zeros and ones: what TransformerLens' `detect_head` gives.
///
/// Positions that have nothing to find count, so that even a perfect induction head has about a half on a text that is repeated
/// once.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DetectedHeads {
    /// `D` is 1 at the token before.
    pub previous_token: HeadGrid,
    /// `D` is 1 at earlier tokens of the same id.
    pub duplicate_token: HeadGrid,
    /// `D` is 1 at tokens that follow an earlier one of the same id.
    pub induction: HeadGrid,
}

/// The places that [`head_scores`] reads.
pub fn head_score_sites(n_layers: usize) -> Vec<Site> {
    (0..n_layers).map(Site::Pattern).collect()
}

/// Scores every head by the patterns of one text.
///
/// # Panics
///
/// If `recorder` did not record [`head_score_sites`] for these tokens alone.
pub fn head_scores<B: Backend>(recorder: &Recorder<B>, n_layers: usize, tokens: &[u32]) -> HeadScores {
    head_scores_of(recorder, 0..n_layers, tokens)
}

/// [`head_scores`] of some blocks alone.
pub(crate) fn head_scores_of<B: Backend>(
    recorder: &Recorder<B>,
    layers: Range<usize>,
    tokens: &[u32],
) -> HeadScores {
    let seq = tokens.len();
    let same = |query: usize, key: usize| key < query && tokens[query] == tokens[key];
    let before = |query: usize, key: usize| key + 1 == query;
    let follows = |query: usize, key: usize| key > 0 && key <= query && same(query, key - 1);
    let patterns: Vec<Vec<f32>> = layers
        .map(|layer| {
            let pattern = recorder.get(Site::Pattern(layer)).expect("the patterns were recorded");
            let [1, _, query, key] = pattern.shape[..] else { panic!("patterns of one text") };
            assert_eq!([query, key], [seq, seq], "a recording of these tokens alone");
            pattern.to_vec()
        })
        .collect();
    let each = |score: &dyn Fn(&[f32]) -> f64| -> HeadGrid {
        let heads = |pattern: &Vec<f32>| pattern.chunks(seq * seq).map(score).collect();
        patterns.iter().map(heads).collect()
    };
    // The mean over the positions that have a place to look at.
    let mean = |at: &dyn Fn(usize, usize) -> bool| -> Option<HeadGrid> {
        let queries: Vec<usize> = (0..seq).filter(|query| (0..seq).any(|key| at(*query, key))).collect();
        let of_query = |pattern: &[f32], query: usize| -> f64 {
            let keys = (0..=query).filter(|key| at(query, *key));
            keys.map(|key| f64::from(pattern[query * seq + key])).sum()
        };
        let score = |pattern: &[f32]| {
            queries.iter().map(|query| of_query(pattern, *query)).sum::<f64>() / queries.len() as f64
        };
        (!queries.is_empty()).then(|| each(&score))
    };
    let detected = |at: &dyn Fn(usize, usize) -> bool| {
        each(&|pattern| {
            let all: f64 = pattern.iter().map(|weight| f64::from(*weight)).sum();
            let places = pattern.iter().enumerate().filter(|(place, _)| at(place / seq, place % seq));
            places.map(|(_, weight)| f64::from(*weight)).sum::<f64>() / all
        })
    };
    HeadScores {
        entropy: each(&|pattern| normalised_entropy(pattern, seq)),
        previous_token: mean(&before).unwrap_or_else(|| each(&|_| 0.0)),
        duplicate_token: mean(&same),
        induction: mean(&follows),
        detected: DetectedHeads {
            previous_token: detected(&before),
            duplicate_token: detected(&same),
            induction: detected(&follows),
        },
    }
}

/// The mean over all positions but the first, of which there must be some; `[seq, seq]`.
fn normalised_entropy(pattern: &[f32], seq: usize) -> f64 {
    let rows = pattern.chunks(seq).enumerate().skip(1);
    let entropies = rows.map(|(query, row)| {
        let weights = row.iter().map(|weight| f64::from(*weight)).filter(|weight| *weight > 0.0);
        -weights.map(|weight| weight * weight.ln()).sum::<f64>() / ((query + 1) as f64).ln()
    });
    entropies.sum::<f64>() / (seq - 1).max(1) as f64
}

/// How a model copes with random tokens that come a second time: only what it has just read helps there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RepeatedTokens {
    /// A separator, then random distinct ids, then the same again.
    pub tokens: Vec<u32>,
    /// The scores of the heads on them.
    pub scores: HeadScores,
    /// Mean loss of the tokens when they come first, in nats.
    pub first_loss: f64,
    /// The same when they come again, but for the first of them, which nothing announces.
    pub second_loss: f64,
    /// The loss of guessing, `ln(vocab)`.
    pub guessing_loss: f64,
}

/// `separator`, then `length` random distinct ids, twice. A seed gives the same ids everywhere.
///
/// # Panics
///
/// If the vocabulary has not so many ids beside the separator.
pub fn repeated_tokens(vocab_size: usize, separator: u32, length: usize, seed: u64) -> Vec<u32> {
    assert!(length < vocab_size, "{length} distinct ids out of {vocab_size}, of which one separates");
    let mut half: Vec<u32> = Vec::with_capacity(length);
    for counter in 0.. {
        if half.len() == length {
            break;
        }
        let id = (mix(seed, counter) % vocab_size as u64) as u32;
        if id != separator && !half.contains(&id) {
            half.push(id);
        }
    }
    [&[separator], &half[..], &half[..]].concat()
}

/// Scores the heads of a model, and the model, on [`repeated_tokens`].
///
/// # Errors
///
/// [`Error::TooShort`] for fewer than 2 ids, [`Error::TooLong`] if the context or the vocabulary has no room for so many,
/// [`Error::UnknownToken`] for the separator.
pub fn repeated_token_scores<B: Backend>(
    model: &GptModel<B>,
    separator: u32,
    length: usize,
    seed: u64,
) -> Result<RepeatedTokens> {
    let config = model.config();
    check_tokens(model, &[separator])?;
    if length < 2 {
        return Err(Error::TooShort { tokens: length });
    }
    if 2 * length + 1 > config.context_length || length >= config.vocab_size {
        let context_length = config.context_length.min(2 * config.vocab_size - 1);
        return Err(Error::TooLong { tokens: 2 * length + 1, context_length });
    }
    let tokens = repeated_tokens(config.vocab_size, separator, length, seed);
    let mut recorder = Recorder::of(head_score_sites(config.n_layers));
    let logits = model.forward_tapped(upload(model, &tokens), None, &mut recorder); // [1, seq, vocab]
    let loss = |first: usize, count: usize| -> f64 {
        let targets = tokens[first..first + count].to_vec();
        let targets = token_tensor(targets, [1, count], &model.device());
        cross_entropy(logits.clone().narrow(1, first - 1, count), targets).into_scalar().elem()
    };
    Ok(RepeatedTokens {
        scores: head_scores(&recorder, config.n_layers, &tokens),
        first_loss: loss(1, length),
        second_loss: loss(length + 2, length - 1),
        guessing_loss: (config.vocab_size as f64).ln(),
        tokens,
    })
}
