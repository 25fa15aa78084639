//! Two shards: what a model learns from, and what it is judged by.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::{TokenShard, Tokenizer};

pub(crate) const TRAIN: &str = "train.tokens";
pub(crate) const VALID: &str = "valid.tokens";

/// Name of the file that describes a prepared folder. It is written last: a folder with it is complete.
pub(crate) const MANIFEST: &str = "dataset.json";

/// The two splits, encoded.
#[derive(Debug)]
pub struct Dataset {
    /// What the model learns from.
    pub train: TokenShard,
    /// What it is judged by.
    pub valid: TokenShard,
}

impl Dataset {
    /// Whether token shards lie in a folder.
    pub fn is_in(folder: &Path) -> bool {
        !matches!(shards(folder), Ok(None))
    }

    /// Opens the shards in a folder: those that this crate prepares, or the `.bin` files of llm.c or nanoGPT
    /// with the word `train` or `val` in their names. Several of a split follow each other in the order of
    /// their names.
    ///
    /// # Errors
    ///
    /// What [`TokenShard::open_all`] and [`TokenShard::made_with`] say, [`Error::NoShards`] and
    /// [`Error::OneSplit`] if there are none of a split.
    pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let Some([train, valid]) = shards(folder)? else {
            return Err(Error::NoShards { path: folder.to_owned() });
        };
        let open = |paths: &[PathBuf]| TokenShard::open_all(paths)?.made_with(tokenizer);
        Ok(Self { train: open(&train)?, valid: open(&valid)? })
    }

    /// The tokenizer that lies beside the shards in a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for one that is damaged.
    pub fn tokenizer(folder: &Path) -> Result<Option<Tokenizer>> {
        if Tokenizer::is_in(folder) { Tokenizer::from_directory(folder).map(Some) } else { Ok(None) }
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

/// Training and validation shards of a folder.
///
/// # Errors
///
/// [`Error::OneSplit`] if there are some of one split only.
pub(crate) fn shards(folder: &Path) -> Result<Option<[Vec<PathBuf>; 2]>> {
    let ours = [folder.join(TRAIN), folder.join(VALID)];
    if ours.iter().all(|path| path.is_file()) {
        return Ok(Some(ours.map(|path| vec![path])));
    }
    if !folder.is_dir() {
        return Ok(None);
    }
    let (mut train, mut valid) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".bin") else { continue };
        let has = |word: &str| stem.split(|letter: char| !letter.is_alphanumeric()).any(|part| part == word);
        if has("train") {
            train.push(path);
        } else if has("val") {
            valid.push(path);
        }
    }
    if train.is_empty() != valid.is_empty() {
        let [there, lacking] = if valid.is_empty() { ["train", "val"] } else { ["val", "train"] };
        return Err(Error::OneSplit { path: folder.to_owned(), there, lacking });
    }
    train.sort();
    valid.sort();
    Ok((!train.is_empty()).then_some([train, valid]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token file of llm.c.
    fn write(path: &Path, tokens: &[u16]) {
        let mut bytes = vec![0; 1024];
        for (index, number) in [20_240_520u32, 1, tokens.len() as u32].into_iter().enumerate() {
            bytes[index * 4..index * 4 + 4].copy_from_slice(&number.to_le_bytes());
        }
        bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
        std::fs::write(path, bytes).expect("writable");
    }

    #[test]
    fn several_files_of_a_split_are_read_as_one() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, tokens: &[u16]| write(&folder.path().join(name), tokens);
        write("text_train_000002.bin", &[5, 6, 7]);
        write("text_train_000001.bin", &[1, 2, 3, 4]);
        write("text_train_000003.bin", &[]);
        write("text_train_000004.bin", &[8]);
        let byte = Tokenizer::open("byte").expect("embedded");
        let refused = Dataset::open(folder.path(), &byte).expect_err("one split").to_string();
        assert!(refused.contains("`train` in its name, but none with `val`"), "{refused}");
        assert!(Dataset::is_in(folder.path()));

        write("text_val_000000.bin", &[9, 10]);
        let Dataset { train, valid } = Dataset::open(folder.path(), &byte).expect("both splits");
        assert_eq!((train.len(), valid.len(), train.text_bytes()), (8, 2, 8));
        for start in 0..=8 {
            for end in start..=8 {
                let expected: Vec<i32> = (start as i32 + 1..=end as i32).collect();
                assert_eq!(train.tokens(start..end).collect::<Vec<_>>(), expected);
            }
        }
        let batch = crate::Batch::cut(&train, &[2], 4);
        assert_eq!((batch.inputs, batch.targets), (vec![3, 4, 5, 6], vec![4, 5, 6, 7]));

        // nanoGPT's format has no header: not of the same kind.
        std::fs::write(folder.path().join("text_train_000005.bin"), [1, 0]).expect("writable");
        let refused = Dataset::open(folder.path(), &byte).expect_err("two formats").to_string();
        assert!(refused.contains("train_000005.bin: not of the same kind"), "{refused}");
    }
}
