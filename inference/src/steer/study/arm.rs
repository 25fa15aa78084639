//! The ways to a word.

use kiln_model::{Backend, GptConfig, GptModel, Site};

use super::directions::{mean_difference, of_length, random, random_of_stream};
use super::feature::turned;
use super::{Observed, Word};
use crate::error::Result;
use crate::request::Request;
use crate::steer::{Action, Intervention, SteeredPositions, Steering, SteeringKit, SteeringMode};

/// Directions or features that stand for chance: each writes a part of the stories.
const CONTROLS: usize = 20;

/// Nats that a strength of 1 adds to the logit of the word.
const NATS: f32 = 8.0;

/// A way to make a model write a word.
#[derive(Clone, Debug)]
pub(super) struct Arm {
    /// What it is called.
    pub(super) name: &'static str,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// A feature, in one mode, at some positions; of several, each story has one in turn.
    Features(Vec<usize>, SteeringMode, SteeredPositions),
    /// Directions of length 1, one in turn for each story.
    Directions(Vec<Vec<f32>>),
    /// The sceptic's: the logit of the word itself is raised.
    LogitBias(Vec<u32>),
    /// The model is asked for it, and steered by the feature if there is one.
    Prompt(Vec<u32>, Option<usize>),
}

/// What the arms are made of.
pub(super) struct Ingredients<'a> {
    pub(super) feature: usize,
    /// Share of the positions at which each feature is active.
    pub(super) densities: &'a [f64],
    pub(super) observed: &'a Observed,
    pub(super) prompt: &'a [u32],
    pub(super) seed: u64,
}

impl Arm {
    /// All ways, in the order of the table.
    pub(super) fn all<B: Backend>(model: &GptModel<B>, word: &Word, from: &Ingredients<'_>) -> Vec<Self> {
        let Ingredients { feature, observed, seed, .. } = *from;
        let row = model.wte.weight.val().narrow(0, word.first_token() as usize, 1); // [1, d_model]
        let directions = |directions: Vec<Vec<f32>>| {
            Way::Directions(directions.into_iter().map(|direction| of_length(direction, 1.0)).collect())
        };
        let seeds = || (0..CONTROLS as u64).map(|index| kiln_datasets::mix(seed, index));
        let d_model = model.config().d_model;
        let mut ways = vec![
            ("feature, clamped", Way::Features(vec![feature], SteeringMode::Clamp, SteeredPositions::All)),
            (
                "feature, clamped where active",
                Way::Features(vec![feature], SteeringMode::Clamp, SteeredPositions::Active),
            ),
            ("feature, added", Way::Features(vec![feature], SteeringMode::Add, SteeredPositions::All)),
        ];
        if let Some(difference) = mean_difference(observed) {
            ways.push(("mean difference", directions(vec![difference])));
        }
        ways.extend([
            ("token's embedding", directions(vec![crate::tokens::to_vec(row)])),
            ("logit bias", Way::LogitBias(word.first_tokens())),
            ("random directions", directions(seeds().map(|seed| random(seed, d_model)).collect())),
            (
                "random, covariance of the stream",
                directions(seeds().map(|seed| random_of_stream(seed, observed)).collect()),
            ),
            ("random features", Way::Features(alike(from), SteeringMode::Clamp, SteeredPositions::All)),
        ]);
        ways.into_iter().map(|(name, way)| Self { name, way }).collect()
    }

    /// A prompt that asks for the word, and the same with the feature held at zero.
    pub(super) fn prompted(from: &Ingredients<'_>) -> [Self; 2] {
        let way = |feature| Way::Prompt(from.prompt.to_vec(), feature);
        [
            Self { name: "prompt", way: way(None) },
            Self { name: "prompt, feature clamped to 0", way: way(Some(from.feature)) },
        ]
    }

    /// Whether it writes from the prompt of all others.
    pub(super) fn has_own_prompt(&self) -> bool {
        matches!(self.way, Way::Prompt(..))
    }

    /// The request of story `index`, made of that of a story without any of this.
    pub(super) fn request(
        &self,
        plain: &Request,
        index: usize,
        strength: f32,
        place: &Place<'_>,
    ) -> Result<Request> {
        let mut request = plain.clone();
        match &self.way {
            Way::Features(features, mode, positions) => {
                request.options.steering =
                    turned(place.kit, features[index % features.len()], *mode, *positions, strength)?;
            }
            Way::Directions(directions) => {
                let amount = strength * place.mean_norm as f32;
                let direction = directions[index % directions.len()].clone();
                let (site, positions) = (place.site, SteeredPositions::All);
                let intervention =
                    Intervention { site, direction, action: Action::Add { amount }, positions };
                request.options.steering = Steering::new([intervention], place.config)?;
            }
            Way::LogitBias(tokens) => {
                let bias = tokens.iter().map(|token| (*token, self.bias(strength)));
                request.options.sampling.logit_bias = bias.collect();
            }
            Way::Prompt(prompt, feature) => {
                request.prompt.extend(prompt);
                if let Some(feature) = feature {
                    request.options.steering =
                        turned(place.kit, *feature, SteeringMode::Clamp, SteeredPositions::All, 0.0)?;
                }
            }
        }
        Ok(request)
    }

    /// Nats that are added to the logits of the word.
    fn bias(&self, strength: f32) -> f32 {
        match self.way {
            Way::LogitBias(_) => NATS * strength,
            _ => 0.0,
        }
    }
}

/// Where all arms steer, and by how much at a strength of 1.
pub(super) struct Place<'a> {
    pub(super) kit: &'a SteeringKit,
    pub(super) config: &'a GptConfig,
    pub(super) site: Site,
    pub(super) mean_norm: f64,
}

/// Features that are active about as often.
fn alike(from: &Ingredients<'_>) -> Vec<usize> {
    let log = |feature: usize| from.densities[feature].max(1e-9).ln();
    let mut others: Vec<usize> = (0..from.densities.len())
        .filter(|other| *other != from.feature && from.densities[*other] > 0.0)
        .collect();
    let distance = |other: usize| (log(other) - log(from.feature)).abs();
    others.sort_by(|one, other| distance(*one).total_cmp(&distance(*other)));
    others.truncate(CONTROLS);
    if others.is_empty() { vec![from.feature] } else { others }
}
