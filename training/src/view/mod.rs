//! What a person sees while and after a model trains: a dashboard in a terminal, plain lines without one, a picture of
//! the losses, and a page that compares runs.
//!
//! The loop hands its records to a `Screen`, which keeps them as a `Progress`. The dashboard draws that from its own thread
//! and turns keys into commands; plain lines print it to a log. Neither knows anything of models or tensors.

mod axis;
mod curve;
mod dashboard;
mod format;
mod loss_svg;
mod part;
mod plain;
mod progress;
mod report;
mod sample;
mod scale;
mod screen;
mod status;
mod task;
mod throughput;

pub use self::dashboard::restore as restore_terminal;
pub use self::part::Part;
pub use self::report::report;
pub use self::screen::Frontend;

pub(crate) use self::dashboard::Command;
pub(crate) use self::loss_svg::loss_svg;
pub(crate) use self::progress::{Progress, RunInfo};
pub(crate) use self::screen::Screen;
pub(crate) use self::status::Status;
