//! What a run remembers of its tokens, so that it resumes with these or not at all.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Dataset;
use crate::FileIdentity;
use crate::error::{Error, Result};
use crate::file::write_file;

/// Name of the file in which a run remembers its tokens.
pub(super) const REMEMBERED: &str = "shards.json";

#[derive(Serialize, Deserialize)]
struct Remembered {
    train: Vec<FileIdentity>,
    valid: Vec<FileIdentity>,
}

impl Dataset {
    /// Writes to `folder` which tokens these are.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be written.
    pub fn remember(&self, folder: &Path) -> Result<()> {
        let path = folder.join(REMEMBERED);
        let remembered = Remembered { train: self.train.identity(), valid: self.valid.identity() };
        let text = serde_json::to_string_pretty(&remembered).expect("plain values serialise");
        write_file(&path, text + "\n")
    }

    /// Makes sure that these are the tokens that `folder` remembers, if it remembers any.
    ///
    /// # Errors
    ///
    /// [`Error::OtherTokens`] that names the first file that is not the same.
    pub fn check_remembered(&self, folder: &Path) -> Result<()> {
        let path = folder.join(REMEMBERED);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            text => text.map_err(Error::io(&path))?,
        };
        let remembered: Remembered =
            serde_json::from_slice(&text).map_err(|error| Error::format(path, error.to_string()))?;
        for (shard, then) in [(&self.train, remembered.train), (&self.valid, remembered.valid)] {
            if let Some((file, reason)) = difference(&then, &shard.identity()) {
                return Err(Error::OtherTokens { path: shard.path().with_file_name(file), reason });
            }
        }
        Ok(())
    }
}

/// The first file that is not the same, and what is different.
fn difference(then: &[FileIdentity], now: &[FileIdentity]) -> Option<(String, String)> {
    let find = |files: &[FileIdentity], name: &str| files.iter().find(|file| file.file == name).cloned();
    for old in then {
        let reason = match find(now, &old.file) {
            None => "it is gone".to_owned(),
            Some(new) if new.tokens != old.tokens => {
                format!("it held {} tokens and holds {} now", old.tokens, new.tokens)
            }
            Some(new) if new.checksum != old.checksum => {
                format!("its tokens are others than then, {} as before", old.tokens)
            }
            Some(_) => continue,
        };
        return Some((old.file.clone(), reason));
    }
    let added = now.iter().find(|new| find(then, &new.file).is_none())?;
    Some((added.file.clone(), "it was not there".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ShardWriter, Tokenizer, Vocabulary};

    #[test]
    fn other_tokens_are_refused_with_the_file_that_changed() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let byte = Tokenizer::open("byte").expect("embedded");
        let open = |train: &[u32], valid: &[u32]| {
            for (name, tokens) in [("train.tokens", train), ("valid.tokens", valid)] {
                let path = folder.path().join(name);
                let mut writer = ShardWriter::create(&path, Vocabulary::from(&byte)).expect("writable");
                writer.write(tokens).expect("room");
                writer.finish(1, tokens.len() as u64).expect("room");
            }
            Dataset::open(folder.path(), &byte).expect("just written")
        };
        let check = |dataset: &Dataset| dataset.check_remembered(folder.path());
        let first = open(&[1, 2, 3], &[4]);
        check(&first).expect("nothing is remembered yet");
        first.remember(folder.path()).expect("writable");
        check(&open(&[1, 2, 3], &[4])).expect("the same tokens");
        for (train, valid, words) in [
            (
                &[1, 2][..],
                &[4][..],
                "train.tokens: changed since the run began: it held 3 tokens and holds 2 now",
            ),
            (
                &[1, 2, 3],
                &[5],
                "valid.tokens: changed since the run began: its tokens are others than then, 1 as before",
            ),
        ] {
            let message = check(&open(train, valid)).expect_err("other tokens").to_string();
            assert!(message.contains(words), "{message}");
        }
        let named = |name: &str| FileIdentity { file: name.to_owned(), tokens: 1, checksum: 1 };
        let (a, b) = (named("a"), named("b"));
        let both = [a.clone(), b.clone()];
        let reasons = [difference(&both, &[b]), difference(&[a], &both)];
        let reasons = reasons.map(|difference| difference.expect("one file more or less"));
        assert_eq!(
            reasons,
            [("a", "it is gone"), ("b", "it was not there")].map(|(a, b)| (a.into(), b.into()))
        );
    }
}
