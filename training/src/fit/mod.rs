//! The loop: step, evaluate, sample, checkpoint, stop.

pub(crate) mod controls;
mod evaluation;
pub(crate) mod loader;
mod parts;
mod past;
mod pauses;
mod start;
pub(crate) mod strategy;
mod unlogged;
mod update;

pub use self::parts::{Display, Pretraining, Stopped, Summary};
pub use self::start::pretrain;
