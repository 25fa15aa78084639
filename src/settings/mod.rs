//! `Config.toml`: what was written, checked, and what it means.

mod locate;
mod parse;
mod resume;
mod sections;

pub use parse::{load, parse};
pub use resume::check_resume;
pub use sections::{DataSource, ModelSection, Settings};
