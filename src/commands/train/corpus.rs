//! The text of a run: the embedded corpus, files, or shards that were prepared before.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use kiln_datasets::tales::SEPARATOR;
use kiln_datasets::{CARGO, Dataset, PrepareOptions, Repeats, Source, TextSplits, Tokenizer, repeats, tales};

use crate::commands::data::Preparing;
use crate::contents;
use crate::settings::{DataSource, Settings};

/// Bytes of text that a vocabulary is learned from, at most.
const LEARNED_FROM: u64 = 64 << 20;

/// Where a run's tokens come from.
pub enum Text {
    /// The embedded corpus.
    Tales {
        tales: tales::Corpus,
        /// The first story of the validation split.
        boundary: usize,
    },
    /// Lines of random letters, each written twice.
    Repeats {
        made: Repeats,
        /// The first line of the validation split.
        boundary: usize,
    },
    /// Text that is encoded for this run.
    Files { source: Source, options: PrepareOptions },
    /// A folder with token shards.
    Prepared(PathBuf),
}

impl Text {
    pub fn of(settings: &Settings) -> Result<Self> {
        let data = &settings.data;
        let location = match (data.source, &data.path) {
            (DataSource::Tales, _) => {
                let tales = tales::corpus(settings.training.seed, data.tales_bytes);
                // On a story boundary, so that the floor is that of whole stories.
                let boundary = tales.split_index(1.0 - data.valid_fraction);
                return Ok(Self::Tales { tales, boundary });
            }
            (DataSource::Repeats, _) => {
                let made = repeats(settings.training.seed, data.tales_bytes);
                let boundary = ((1.0 - data.valid_fraction) * made.lines.len() as f64).round() as usize;
                return Ok(Self::Repeats { made, boundary });
            }
            (DataSource::Path, Some(path)) if Dataset::is_in(path) => {
                return Ok(Self::Prepared(path.clone()));
            }
            (DataSource::Path, Some(path))
                if path.is_file() && path.extension().is_some_and(|extension| extension == "bin") =>
            {
                bail!(
                    "{}: one file of tokens is one split\nhint: training needs a folder with a `train` and a `val` .bin",
                    path.display()
                )
            }
            (DataSource::Path, Some(path)) => {
                if data.format.is_none() && data.include.is_empty() {
                    contents::check_text(path)?;
                }
                path.clone()
            }
            (DataSource::Path, None) => bail!("data.source = \"path\" needs data.path"),
            (DataSource::Cargo, _) => CARGO.into(),
        };
        let source = Source {
            include: data.include.clone(),
            exclude: data.exclude.clone(),
            field: data.field.clone(),
            format: data.format,
            ..Source::new(location)
        };
        // What cannot be read is told before anything is written.
        source.files()?;
        let options = PrepareOptions {
            valid_fraction: data.valid_fraction,
            seed: settings.training.seed,
            lossy: data.lossy,
            ..PrepareOptions::default()
        };
        Ok(Self::Files { source, options })
    }

    /// The tokenizer that `kind` asks for: made from this text, beside these shards, or by name.
    pub fn tokenizer(&self, kind: &str, vocab_size: usize) -> Result<Tokenizer> {
        match (self, kind) {
            (Self::Prepared(folder), "char" | "bpe") => match Dataset::tokenizer(folder)? {
                Some(tokenizer) => Ok(tokenizer),
                None => bail!(
                    "{}: no tokenizer beside the token shards\nhint: name the one that made them, for instance \
                     `--set tokenizer.kind=gpt2`",
                    folder.display()
                ),
            },
            (Self::Tales { tales, .. }, "char") => Ok(Tokenizer::characters_of(&tales.text())),
            (Self::Repeats { made, .. }, "char") => Ok(Tokenizer::characters_of(&made.lines.concat())),
            (Self::Files { source, options }, "char") => {
                Ok(kiln_datasets::character_tokenizer(std::slice::from_ref(source), options)?)
            }
            (Self::Tales { tales, boundary }, "bpe") => {
                learn(tales.stories[..*boundary].iter().map(|story| &story.text), vocab_size)
            }
            (Self::Repeats { made, boundary }, "bpe") => learn(&made.lines[..*boundary], vocab_size),
            (Self::Files { source, options }, "bpe") => {
                let texts =
                    kiln_datasets::sample_documents(std::slice::from_ref(source), options, LEARNED_FROM)?;
                learn(&texts, vocab_size)
            }
            (_, name) => crate::files::tokenizer(name),
        }
    }

    /// The tokens, encoded into `folder` unless they are prepared.
    pub fn dataset(&self, tokenizer: &Tokenizer, folder: &Path) -> Result<Dataset> {
        match self {
            Self::Tales { tales, boundary } => {
                Ok(tales_splits(tales, *boundary, tokenizer).encode(tokenizer, folder)?)
            }
            Self::Repeats { made, boundary } => {
                let (train, valid) = made.lines.split_at(*boundary);
                let splits = TextSplits { train: train.to_vec(), valid: valid.to_vec() };
                Ok(splits.encode(tokenizer, folder)?)
            }
            Self::Files { source, options } => {
                let mut preparing = Preparing::new();
                let sources = std::slice::from_ref(source);
                let prepared = kiln_datasets::prepare(sources, tokenizer, folder, options, &mut |progress| {
                    preparing.show(&progress);
                });
                preparing.finish();
                prepared?;
                Ok(Dataset::open(folder, tokenizer)?)
            }
            Self::Prepared(folder) => Ok(Dataset::open(folder, tokenizer)?),
        }
    }

    /// The loss on the validation text of `dataset` that no model can expect to beat, where it is known.
    pub fn floor(&self, dataset: &Dataset) -> Option<f64> {
        match self {
            Self::Tales { tales, boundary } => {
                Some(tales.floor(boundary..).nats / dataset.valid.len() as f64)
            }
            Self::Repeats { made, boundary } => {
                Some(made.floor(*boundary..).nats / dataset.valid.len() as f64)
            }
            Self::Files { .. } | Self::Prepared(_) => None,
        }
    }
}

/// The stories as documents. A tokenizer without an end-of-text token gets a blank line between them.
fn tales_splits(tales: &tales::Corpus, boundary: usize, tokenizer: &Tokenizer) -> TextSplits {
    let separator = if tokenizer.end_of_text().is_some() { "" } else { SEPARATOR };
    let documents = |stories: &[tales::Story]| {
        stories.iter().map(|story| format!("{}{separator}", story.text)).collect::<Vec<_>>()
    };
    let (train, valid) = tales.stories.split_at(boundary);
    TextSplits { train: documents(train), valid: documents(valid) }
}

/// The BPE of `texts`; what is wrong with its size is said of the setting.
fn learn(texts: impl IntoIterator<Item: AsRef<str>>, vocab_size: usize) -> Result<Tokenizer> {
    Tokenizer::train_bpe(texts, vocab_size).map_err(|error| anyhow!("tokenizer.{error}"))
}
