//! Which feature says the word.

use kiln_model::{Backend, GptModel};
use serde::Serialize;

use super::observed::word_logprobs;
use super::{Observed, Word};
use crate::error::Result;
use crate::steer::{
    SteeredPositions, Steering, SteeringDial, SteeringHandle, SteeringKit, SteeringMode, SteeringTap,
    SteeringUnit,
};
use crate::tokens::upload;

/// Strength at which features are tried, in mean norms of the stream.
const TRIED: f32 = 0.5;

/// Places at which they are tried, at most.
const CHOICES: usize = 200;

/// A feature, and what it does to the word.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WordFeature {
    /// Its number.
    pub feature: usize,
    /// How much it raises the log-probability of the word where the word may come next, on the average, at half of the
    /// stream's norm.
    pub delta_logprob: f64,
}

/// A feature at a strength in mean norms of the stream.
pub(super) fn turned(
    kit: &SteeringKit,
    feature: usize,
    mode: SteeringMode,
    positions: SteeredPositions,
    strength: f32,
) -> Result<Steering> {
    kit.steering(&[SteeringDial {
        handle: SteeringHandle::Feature(feature),
        mode,
        strength,
        unit: SteeringUnit::Norm,
        layer: None,
        positions,
    }])
}

/// What each of these features does to the word, the one that raises it most first.
///
/// # Errors
///
/// If the kit has no such feature.
pub(super) fn try_features<B: Backend>(
    model: &GptModel<B>,
    kit: &SteeringKit,
    features: &[usize],
    word: &Word,
    observed: &Observed,
    progress: &mut dyn FnMut(),
) -> Result<Vec<WordFeature>> {
    let choices: Vec<_> = observed.choices().map(|(_, position)| *position).take(CHOICES).collect();
    let mut texts: Vec<usize> = choices.iter().map(|position| position.text).collect();
    texts.dedup();
    let mut tried = Vec::new();
    for feature in features {
        let steering = turned(kit, *feature, SteeringMode::Clamp, SteeredPositions::All, TRIED)?;
        let mut tap = SteeringTap::new(&steering, &model.device());
        let mut sum = 0.0;
        for text in &texts {
            let logits = model.forward_tapped(upload(model, &observed.texts[*text]), None, &mut tap);
            let logprobs = word_logprobs(logits, word);
            let here = choices.iter().filter(|position| position.text == *text);
            sum += here.map(|position| logprobs[position.at] - position.logprob).sum::<f64>();
        }
        tried.push(WordFeature { feature: *feature, delta_logprob: sum / choices.len().max(1) as f64 });
        progress();
    }
    tried.sort_by(|one, other| other.delta_logprob.total_cmp(&one.delta_logprob));
    Ok(tried)
}
