//! The loop: step, evaluate, sample, checkpoint, stop. burn-train's own loop knows epochs only; this one knows steps.
//!
//! [`train()`] opens what a run needs and launches burn-train's learner with a strategy of ours, which takes everything in one
//! piece and drives it.

mod clock;
mod controls;
mod evaluation;
mod events;
mod launch;
mod loader;
mod pauses;
mod run;
mod stop;
mod strategy;
mod update;

pub use self::launch::train;
pub use self::run::{Run, Stopped, Summary};
pub use self::stop::Stop;
