//! Looking inside: what a model computes on the way from a text to its next token.

mod recorder;

pub use self::recorder::{Recorded, Recorder};
