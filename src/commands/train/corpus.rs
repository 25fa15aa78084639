//! The text of a run.

use anyhow::{Context, Result};
use kiln_datasets::{Corpus, read_text, tales};

use crate::settings::{DataSource, Settings};

/// A corpus, split.
pub struct Text {
    pub corpus: Corpus,
    /// Nats that the validation text costs even those who know how it was made, where that is known.
    pub floor_nats: Option<f64>,
}

impl Text {
    pub fn read(settings: &Settings) -> Result<Self> {
        let data = &settings.data;
        match (data.source, &data.path) {
            (DataSource::Path, path) => {
                let path = path.as_deref().context("data.source = \"path\" needs data.path")?;
                Ok(Self { corpus: Corpus::split(read_text(path)?, data.valid_fraction), floor_nats: None })
            }
            (DataSource::Tales, _) => {
                let tales = tales::corpus(settings.training.seed, data.tales_bytes);
                // On a story boundary, so that the floor is that of whole stories.
                let boundary = tales.split_index(1.0 - data.valid_fraction);
                let corpus =
                    Corpus { train: vec![tales.text_of(..boundary)], valid: vec![tales.text_of(boundary..)] };
                Ok(Self { corpus, floor_nats: Some(tales.floor(boundary..).nats) })
            }
        }
    }
}
