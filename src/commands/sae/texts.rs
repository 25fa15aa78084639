//! What a model reads while an autoencoder looks into it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kiln_datasets::tales::{SEPARATOR, corpus};
use kiln_datasets::{Batch, Dataset, IGNORED, Order, Tokenizer, WindowSampler, mix};
use kiln_training::Portion;

use crate::commands::train::corpus::Text;
use crate::settings::{self, DataSource, Settings};

/// What the embedded corpus is called where a file could be named.
pub const TALES: &str = "tales";

/// Bytes of stories that tell how many of them make a token.
const MEASURED: usize = 20_000;

/// Windows of text by number.
pub enum TextWindows {
    /// New stories for each number.
    Tales(Stories),
    /// Windows of token shards, at random.
    Shards { dataset: Dataset, sampler: WindowSampler },
}

/// Tells stories, and cuts them into windows.
pub struct Stories {
    tokenizer: Tokenizer,
    /// What stands between two.
    separator: Vec<u32>,
    seed: u64,
    windows: usize,
    seq: usize,
    bytes_per_token: f64,
}

/// Sets in `settings` what the model at `directory` reads: what was named, else what a run was trained on.
pub fn choose(settings: &mut Settings, named: Option<&Path>, directory: &Path) -> Result<()> {
    let data = &mut settings.data;
    let own_shards = directory.join("data");
    match named {
        Some(path) if path == Path::new(TALES) && !path.exists() => data.source = DataSource::Tales,
        Some(path) => {
            data.source = DataSource::Path;
            data.path = Some(std::path::absolute(path)?);
        }
        None if learned_tales(directory) => data.source = DataSource::Tales,
        None if Dataset::is_in(&own_shards) => {
            data.source = DataSource::Path;
            data.path = Some(std::path::absolute(own_shards)?);
        }
        None => bail!(
            "{}: nothing says what this model reads\nhint: name a text, `--data PATH`",
            directory.display()
        ),
    }
    Ok(())
}

/// Whether the run in `directory` was trained on the embedded corpus.
fn learned_tales(directory: &Path) -> bool {
    let config = directory.join("config.toml");
    let settings = config.is_file().then(|| settings::load(Some(&config), &[]).ok()).flatten();
    settings.is_some_and(|(settings, _)| settings.data.source == DataSource::Tales)
}

/// What the model reads, as an autoencoder remembers it.
pub fn name(settings: &Settings) -> String {
    match (settings.data.source, &settings.data.path) {
        (DataSource::Path, Some(path)) => path.display().to_string(),
        _ => TALES.to_owned(),
    }
}

impl TextWindows {
    /// Whether they are stories of the embedded corpus.
    pub fn are_tales(&self) -> bool {
        matches!(self, Self::Tales(_))
    }

    /// What `settings` name, in windows of `seq` tokens of which about `tokens` are read at a time. Text is encoded into `folder`.
    pub fn open(
        settings: &Settings,
        tokenizer: &Tokenizer,
        seq: usize,
        tokens: usize,
        folder: PathBuf,
    ) -> Result<Self> {
        let (seed, windows) = (settings.training.seed, tokens.div_ceil(seq) + 1);
        if settings.data.source == DataSource::Tales {
            return Ok(Self::Tales(Stories::new(tokenizer, seed, windows, seq)?));
        }
        let dataset = match settings.data.path.as_ref().filter(|path| !Dataset::is_in(path)) {
            Some(_) if Dataset::is_in(&folder) => Dataset::open(&folder, tokenizer)?,
            _ => Text::of(settings)?.dataset(tokenizer, &folder)?,
        };
        dataset.check(seq)?;
        let end_of_text = tokenizer.end_of_text();
        let order = if end_of_text.is_some() { Order::Documents } else { Order::Random };
        let sampler = WindowSampler { order, seed, batch_size: windows, context_length: seq, end_of_text };
        Ok(Self::Shards { dataset, sampler })
    }

    /// The windows of this number.
    pub fn batch(&self, portion: Portion, number: u64) -> Batch {
        match self {
            // No number is of both.
            Self::Tales(stories) => {
                let portion = if portion == Portion::Training { 0 } else { 1 };
                stories.batch(mix(mix(stories.seed, portion), number))
            }
            Self::Shards { dataset, sampler } => {
                let shard = if portion == Portion::Training { &dataset.train } else { &dataset.valid };
                sampler.batch(shard, number)
            }
        }
    }
}

impl Stories {
    fn new(tokenizer: &Tokenizer, seed: u64, windows: usize, seq: usize) -> Result<Self> {
        let separator = match tokenizer.end_of_text() {
            Some(token) => vec![token],
            None => tokenizer.encode(SEPARATOR)?,
        };
        let sample = corpus(seed, MEASURED).text();
        let bytes_per_token = sample.len() as f64 / tokenizer.encode(&sample)?.len().max(1) as f64;
        Ok(Self { tokenizer: tokenizer.clone(), separator, seed, windows, seq, bytes_per_token })
    }

    /// Windows of stories that `seed` tells. Each starts at a story, behind what separates it from the one before, except within a
    /// story that is longer than a window; what an earlier window has shown is not counted again.
    fn batch(&self, seed: u64) -> Batch {
        let needed = (self.windows + 1) * self.seq + 1;
        let told = corpus(seed, (needed as f64 * self.bytes_per_token) as usize);
        let (mut stream, mut starts) = (Vec::with_capacity(needed), Vec::new());
        for story in told.stories {
            starts.push(stream.len());
            stream.extend(&self.separator);
            // A tokenizer of another corpus may lack a letter.
            stream.extend(self.tokenizer.encode(&story.text).unwrap_or_default());
        }
        let mut batch = Batch { inputs: Vec::new(), targets: Vec::new(), windows: 0, seq: self.seq };
        let (mut start, mut shown) = (0, 0);
        while batch.windows < self.windows && start + self.seq < stream.len() {
            let end = start + self.seq;
            batch.inputs.extend(stream[start..end].iter().map(|token| *token as i32));
            let target = |place: usize| if place < shown { IGNORED } else { stream[place + 1] as i32 };
            batch.targets.extend((start..end).map(target));
            batch.windows += 1;
            shown = end;
            start = starts.iter().copied().rfind(|next| *next > start && *next <= end).unwrap_or(end);
        }
        batch
    }
}
