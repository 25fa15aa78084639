//! What a person sees while a model trains: a dashboard in a terminal, plain lines without one.
//!
//! The trainer writes into a [`Progress`]; [`Dashboard`] draws it from its own thread and turns keys into
//! [`Command`]s, or [`PlainLines`] prints it to a log. Neither knows anything of models or tensors.

mod axis;
mod chart;
mod curve;
mod draw;
mod events;
mod format;
mod panels;
mod plain;
mod progress;
mod screen;
mod status;
mod terminal;
mod throughput;

pub use curve::{Curve, CurvePoint};
pub use draw::draw;
pub use events::{Evaluation, Sample, StepReport};
pub use plain::PlainLines;
pub use progress::{Progress, RunInfo};
pub use status::Status;
pub use terminal::{Command, Dashboard, restore};

pub(crate) use axis::ticks;
pub(crate) use format::thousands;
