//! Fetching well-known corpora, and any dataset of the Hugging Face hub.
//!
//! A [`Corpora`](CORPORA) entry or a [`HubDataset`] says what to fetch; [`fetch`] downloads what is not there
//! yet. Every file is resumed where an earlier attempt stopped, checked against its SHA-256, and appears
//! under its name only when it is whole.

mod corpora;
mod destination;
mod download;
mod hub;
mod options;
mod run;

pub use self::corpora::{CORPORA, KnownCorpus, Origin};
pub use self::hub::HubDataset;
pub use self::options::{FetchOptions, FetchProgress, Fetched};
pub use self::run::fetch;

#[cfg(test)]
mod tests;
