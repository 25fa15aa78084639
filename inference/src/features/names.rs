//! A name for a feature: the concept that its activity tells best.

use std::fmt;

use serde::Serialize;

use super::labels::Labels;
use super::readings::Readings;

/// How a concept relates to the position at which a feature is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// The word that the token is part of.
    Current,
    /// The word that the next token begins.
    Next,
    /// The word before.
    Previous,
    /// Whom a tale is about.
    Hero,
    /// What a tale is about.
    Thing,
    /// The token is part of what the tale is about: whoever or whatever that is.
    Role,
    /// The next token begins what the tale is about.
    NextRole,
}

impl Relation {
    /// Whether the feature says what it has read, or what comes.
    pub fn kind(self) -> &'static str {
        if matches!(self, Self::Next | Self::NextRole) { "output" } else { "input" }
    }

    /// Whether it is a slot of a tale, not a word of it.
    pub fn is_slot(self) -> bool {
        matches!(self, Self::Hero | Self::Thing | Self::Role | Self::NextRole)
    }
}

/// A concept, and how well a feature tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Name {
    /// How the concept relates to a position.
    pub relation: Relation,
    /// The word, or the value of the slot.
    pub value: String,
    /// What the feature has to exceed.
    pub threshold: f32,
    /// F1 on the half of the texts that it was not chosen on.
    pub f1: f64,
    /// Precision there.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
}

/// F1 below which a feature has no name.
const NAMED: f64 = 0.5;

/// Positions that a concept has to have in each half.
const SUPPORT: u32 = 20;

impl Name {
    /// Whether it tells the concept well enough to be called by it.
    pub fn is_good(&self) -> bool {
        self.f1 >= NAMED
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.relation {
            Relation::Current => write!(f, "“{}”", self.value),
            Relation::Next => write!(f, "before “{}”", self.value),
            Relation::Previous => write!(f, "after “{}”", self.value),
            Relation::Hero => write!(f, "hero={}", self.value),
            Relation::Thing => write!(f, "thing={}", self.value),
            Relation::Role => write!(f, "the {}", self.value),
            Relation::NextRole => write!(f, "before the {}", self.value),
        }
    }
}

/// How often each concept of some labels occurs, in either half.
pub(super) struct Supports([Vec<u32>; 2]);

impl Supports {
    pub(super) fn of(readings: &Readings, labels: &Labels) -> Self {
        let mut supports = [vec![0; labels.names.len()], vec![0; labels.names.len()]];
        for (place, label) in labels.of.iter().enumerate().filter(|(place, _)| readings.counted[*place]) {
            supports[half(readings, place)][*label as usize] += 1;
        }
        Self(supports)
    }
}

/// Windows belong to one half and the other in turn.
fn half(readings: &Readings, place: usize) -> usize {
    place / readings.seq.max(1) % 2
}

/// The best concept of these labels for a feature that is active so: chosen on one half of the windows, measured on the other.
/// With `only`, of this concept alone.
pub(super) fn best_name(
    readings: &Readings,
    labels: &Labels,
    supports: &Supports,
    active: &[(u32, f32)],
    only: Option<u32>,
) -> Option<Name> {
    let mut chosen_on: Vec<&(u32, f32)> =
        active.iter().filter(|(place, _)| half(readings, *place as usize) == 0).collect();
    chosen_on.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Supports([support, other]) = supports;
    let usable = |label: u32| {
        label != 0
            && support[label as usize].min(other[label as usize]) >= SUPPORT
            && only.is_none_or(|only| only == label)
    };
    let mut hits = vec![0_u32; labels.names.len()];
    let mut best: Option<(f64, u32, f32)> = None;
    for (above, (place, value)) in (1..).zip(chosen_on) {
        let label = labels.of[*place as usize];
        if !usable(label) {
            continue;
        }
        hits[label as usize] += 1;
        let f1 = 2.0 * f64::from(hits[label as usize]) / f64::from(above + support[label as usize]);
        if best.is_none_or(|(best, ..)| f1 > best) {
            best = Some((f1, label, *value));
        }
    }
    let (_, label, threshold) = best?;
    let told =
        active.iter().filter(|(place, value)| half(readings, *place as usize) == 1 && *value >= threshold);
    let (mut above, mut hits) = (0_u32, 0_u32);
    for (place, _) in told {
        above += 1;
        hits += u32::from(labels.of[*place as usize] == label);
    }
    let (hits, above, support) = (f64::from(hits), f64::from(above), f64::from(other[label as usize]));
    Some(Name {
        relation: labels.relation,
        value: labels.names[label as usize].clone(),
        threshold,
        f1: 2.0 * hits / (above + support),
        precision: if above > 0.0 { hits / above } else { 0.0 },
        recall: hits / support,
    })
}
