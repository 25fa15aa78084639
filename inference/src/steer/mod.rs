//! Steering: turning a direction of the residual stream up or down while a model computes.
//!
//! A [`Steering`] is a list of [`Intervention`]s: where, along which direction, and [how](Action). A [`SteeringTap`] carries it
//! out in any forward pass; [`GenerateOptions::steering`](crate::GenerateOptions::steering) does so for a text that is generated,
//! whatever runs beside it. A [`SteeringKit`] makes it from features of a sparse autoencoder and from control vectors.

mod intervention;
mod kit;
mod mean_difference;
mod study;
mod tap;
#[cfg(test)]
mod tests;

pub use self::intervention::{Action, Intervention, SteeredPositions, Steering};
pub use self::kit::{SteeringDial, SteeringHandle, SteeringKit, SteeringMode, SteeringUnit};
pub use self::mean_difference::{MeanDifference, mean_difference};
pub use self::study::{Figures, SteeringStudy, StudyOptions, StudyResult, WordFeature, kl_floor, wilson};
pub(crate) use self::tap::SteeredSequence;
pub use self::tap::SteeringTap;
