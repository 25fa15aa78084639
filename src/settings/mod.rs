//! `Config.toml`: what was written, checked, and what it means.

mod locate;
mod model;
mod parse;
mod resume;
mod sections;

pub use model::ModelSection;
pub use parse::{Origin, load, parse};
pub use resume::check_resume;
pub use sections::{DataSource, Settings};
