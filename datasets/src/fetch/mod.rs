//! Fetching well-known corpora, and any dataset or model of the Hugging Face hub.
//!
//! A [`Corpora`](CORPORA) entry or a [`HubDataset`] says what to fetch; [`fetch`] downloads what is not there
//! yet. A [`HubModel`] names a model, and a [`ModelDownload`] brings it here. Every file is resumed where an
//! earlier attempt stopped, checked against its SHA-256, and appears under its name only when it is whole.

mod client;
mod corpora;
mod dataset;
mod destination;
mod download;
mod gguf_file;
mod local_model;
mod model;
mod model_download;
mod options;
mod repository;
mod run;
mod snapshot;

pub use self::corpora::{CORPORA, KnownCorpus, Origin};
pub use self::dataset::HubDataset;
pub use self::local_model::LocalModel;
pub use self::model::HubModel;
pub use self::model_download::ModelDownload;
pub use self::options::{FetchOptions, FetchProgress, Fetched};
pub use self::run::fetch;

#[cfg(test)]
mod tests;
