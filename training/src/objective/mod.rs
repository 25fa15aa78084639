//! What is learned.

mod language_model;

pub use self::language_model::{LanguageModel, MicroBatches, StepOutput};
