//! What a person sees while and after a model trains: a dashboard in a terminal, plain lines without one, a picture of
//! the losses, and a page that compares runs.
//!
//! The loop writes into a `Progress`; the dashboard draws it from its own thread and turns keys into commands, or plain
//! lines print it to a log. Neither knows anything of models or tensors.

mod axis;
mod curve;
pub(crate) mod dashboard;
mod events;
mod format;
mod loss_svg;
mod plain;
mod progress;
pub(crate) mod renderer;
mod report;
mod status;
mod throughput;

pub use self::dashboard::restore as restore_terminal;
pub use self::loss_svg::loss_svg;
pub use self::report::comparison;

pub(crate) use self::axis::ticks;
pub(crate) use self::curve::{Curve, CurvePoint};
pub(crate) use self::dashboard::{Command, Dashboard};
pub(crate) use self::events::StepReport;
pub(crate) use self::format::thousands;
pub(crate) use self::plain::PlainLines;
pub(crate) use self::progress::{Progress, RunInfo};
pub(crate) use self::status::Status;
