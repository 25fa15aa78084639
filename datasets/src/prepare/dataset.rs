//! The two splits of a prepared corpus.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::{TokenShard, Tokenizer};

pub(super) const TRAIN: &str = "train.tokens";
pub(super) const VALID: &str = "valid.tokens";

/// The two splits, encoded.
#[derive(Debug)]
pub struct Dataset {
    /// What the model learns from.
    pub train: TokenShard,
    /// What it is judged by.
    pub valid: TokenShard,
}

impl Dataset {
    /// Whether token shards of both splits lie in a folder.
    pub fn is_in(folder: &Path) -> bool {
        matches!(shards(folder), Ok(Some(_)))
    }

    /// Opens the shards in a folder: those of [`prepare()`](crate::prepare()), or the `.bin` files of llm.c or
    /// nanoGPT, one with `train` in its name and one with `val`.
    ///
    /// # Errors
    ///
    /// What [`TokenShard::open`] and [`TokenShard::made_with`] say, [`Error::Format`] if there are none.
    pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let Some([train, valid]) = shards(folder)? else {
            let reason = "no token shards here\nhint: make them with `kiln data prepare`";
            return Err(Error::format(folder, reason));
        };
        let open = |path: &Path| TokenShard::open(path)?.made_with(tokenizer);
        Ok(Self { train: open(&train)?, valid: open(&valid)? })
    }

    /// Checks that both splits hold at least one window.
    ///
    /// # Errors
    ///
    /// [`Error::TooShort`] with the numbers.
    pub fn check(&self, context_length: usize) -> Result<()> {
        for (split, tokens) in [("training", self.train.len()), ("validation", self.valid.len())] {
            if tokens <= context_length {
                return Err(Error::TooShort { split, tokens, context_length });
            }
        }
        Ok(())
    }
}

/// Training and validation shard of a folder.
pub(crate) fn shards(folder: &Path) -> Result<Option<[PathBuf; 2]>> {
    let ours = [folder.join(TRAIN), folder.join(VALID)];
    if ours.iter().all(|path| path.is_file()) {
        return Ok(Some(ours));
    }
    if !folder.is_dir() {
        return Ok(None);
    }
    let (mut train, mut valid) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.strip_suffix(".bin") {
            Some(stem) if stem.contains("train") => train.push(path),
            Some(stem) if stem.contains("val") => valid.push(path),
            _ => {}
        }
    }
    match (train.as_slice(), valid.as_slice()) {
        ([train], [valid]) => Ok(Some([train.clone(), valid.clone()])),
        ([_, _, ..], [_, ..]) | ([_, ..], [_, _, ..]) => {
            let reason = "more than one .bin file of a split; only one can be trained on";
            Err(Error::format(folder, reason))
        }
        _ => Ok(None),
    }
}
