//! `Config.toml`: what was written, checked, and what it means.

mod change;
mod finetune;
mod keys;
mod locate;
mod model;
mod parse;
mod recipes;
mod resume;
mod sae;
mod sections;
mod suggest;

pub use finetune::{FinetuneSection, Split, Task, Trained};
pub use keys::{Row, table};
pub use model::ModelSection;
pub use parse::{EMBEDDED, Origin, bad_value, load, parse};
pub use resume::check_resume;
pub use sae::SaeSection;
pub use sections::{DataSource, Settings};
pub use suggest::key_named;
