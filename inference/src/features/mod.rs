//! The features of a sparse autoencoder: how well they stand for a model's vectors, and what each of them stands for.

mod candidates;
mod catalogue;
mod dashboard;
mod labels;
mod metrics;
mod names;
mod readings;
mod splice;

pub use self::candidates::{Candidate, Criterion, candidates};
pub use self::catalogue::{Catalogue, Context, FeatureRecord, Ranked};
pub use self::dashboard::dashboard;
pub use self::metrics::{SaeDump, SaeMetrics, measure_autoencoder};
pub use self::names::{Name, Relation};
pub use self::readings::Readings;
