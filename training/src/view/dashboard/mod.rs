//! The dashboard: the run on a terminal, drawn by a thread of its own, which also listens to the keys.
//!
//! `painter` runs the thread on the `alternate_screen` with what the `keyboard` sends: a `Command` for the run, or a change of
//! the `Look` at it. `draw` lays out what is shown, each part of it a file of its own.

mod alternate_screen;
mod command;
mod draw;
mod header;
mod help;
mod key_line;
mod keyboard;
mod look;
mod loss_chart;
mod numbers;
mod painter;
mod plot;
mod sample_pane;
mod scroll;
mod small_charts;
mod style;

pub use self::alternate_screen::restore;

pub(crate) use self::command::Command;
pub(crate) use self::painter::Dashboard;
