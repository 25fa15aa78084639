//! `Config.toml`: what was written, checked, and what it means.

mod locate;
mod parse;
mod sections;

pub use parse::load;
pub use sections::{DataSource, ModelSection, Settings};
