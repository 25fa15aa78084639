//! Does turning one feature up make a model write of one thing, and what does that cost? A [`SteeringStudy`] measures it for a
//! word, beside every simpler way to the same end.
//!
//! 1. It watches the model write, and chooses the feature that raises the word's probability most.
//! 2. Each arm writes as many stories from the same seeds, at several strengths; arms that add a direction add one of the
//!    same length.
//! 3. The [`Figures`] of each say how many stories have the word, how many are still sound, and how far the text is from what
//!    the model would write.

mod arm;
mod directions;
mod feature;
mod figures;
mod observed;
mod run;
mod word;

pub use self::feature::WordFeature;
pub use self::figures::{Figures, kl_floor, wilson};
use self::observed::Observed;
pub use self::run::{SteeringStudy, StudyOptions, StudyResult};
use self::word::Word;
