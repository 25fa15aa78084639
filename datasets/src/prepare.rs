//! From documents to a training and a validation shard.

use std::path::Path;

use crate::error::{Error, Result};
use crate::{ShardWriter, TokenShard, Tokenizer};

/// Text with the place where validation begins.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Documents of the training split; the last one may be the front of a document cut in two.
    pub train: Vec<String>,
    /// Documents of the validation split.
    pub valid: Vec<String>,
}

impl Corpus {
    /// Gives the first `1 - valid_fraction` of the characters to training and the rest to validation, as nanoGPT
    /// does: position `⌊characters · (1 - valid_fraction)⌋` is the first of validation.
    pub fn split(documents: Vec<String>, valid_fraction: f64) -> Self {
        let characters: usize = documents.iter().map(|text| text.chars().count()).sum();
        let mut left = (characters as f64 * (1.0 - valid_fraction)) as usize;
        let (mut train, mut valid) = (Vec::new(), Vec::new());
        for mut text in documents {
            let length = text.chars().count();
            if length <= left {
                left -= length;
                train.push(text);
            } else {
                let at = text.char_indices().nth(left).map_or(text.len(), |(at, _)| at);
                valid.push(text.split_off(at));
                if !text.is_empty() {
                    train.push(text);
                }
                left = 0;
            }
        }
        Self { train, valid }
    }

    /// All of the text, for a tokenizer that is made from it.
    pub fn characters(&self) -> Tokenizer {
        let all: String = self.train.iter().chain(&self.valid).map(String::as_str).collect();
        Tokenizer::characters_of(&all)
    }
}

/// The two splits, encoded.
#[derive(Debug)]
pub struct Dataset {
    /// What the model learns from.
    pub train: TokenShard,
    /// What it is judged by.
    pub valid: TokenShard,
}

impl Dataset {
    /// Opens the shards that [`prepare()`] wrote.
    ///
    /// # Errors
    ///
    /// What [`TokenShard::open`] says, and [`Error::Format`] for shards of another tokenizer.
    pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let open = |name: &str| {
            let path = folder.join(name);
            let shard = TokenShard::open(&path)?;
            if shard.fingerprint() != tokenizer.fingerprint() {
                let reason = format!("made with another tokenizer than this one ({})", tokenizer.name());
                return Err(Error::format(path, reason));
            }
            Ok(shard)
        };
        Ok(Self { train: open(TRAIN)?, valid: open(VALID)? })
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

const TRAIN: &str = "train.tokens";
const VALID: &str = "valid.tokens";

/// Encodes a corpus into two shards in `folder` and opens them. Documents end with the tokenizer's end-of-text token,
/// if there are several and it has one.
///
/// # Errors
///
/// [`Error::UnknownCharacter`] from a character tokenizer, [`Error::Io`] if the disk is full.
pub fn prepare(corpus: &Corpus, tokenizer: &Tokenizer, folder: &Path) -> Result<Dataset> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let separator = tokenizer.end_of_text().filter(|_| corpus.train.len() + corpus.valid.len() > 2);
    for (name, documents) in [(TRAIN, &corpus.train), (VALID, &corpus.valid)] {
        let mut writer =
            ShardWriter::create(&folder.join(name), tokenizer.vocab_size(), tokenizer.fingerprint())?;
        let mut text_bytes = 0;
        for text in documents {
            text_bytes += text.len() as u64;
            writer.write(&tokenizer.encode(text)?)?;
            writer.write(separator.as_slice())?;
        }
        writer.finish(text_bytes)?;
    }
    Dataset::open(folder, tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_nanogpts() {
        // 15 characters, the first 13 to training: ⌊15 · 0.9⌋ = 13.
        let corpus = Corpus::split(vec!["añbcdefg".into(), "hijklmn".into()], 0.1);
        assert_eq!(corpus.train, ["añbcdefg", "hijkl"]);
        assert_eq!(corpus.valid, ["mn"]);
    }

    #[test]
    fn shards_hold_the_text_and_know_their_tokenizer() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let corpus = Corpus::split(vec!["to be or not to be, that is the question".into()], 0.25);
        let tokenizer = corpus.characters();
        let dataset = prepare(&corpus, &tokenizer, folder.path()).expect("known characters");
        let tokens: Vec<u32> =
            dataset.valid.tokens(0..dataset.valid.len()).map(|token| token as u32).collect();
        assert_eq!(tokenizer.decode(&tokens).expect("own tokens"), "e question");
        assert_eq!(dataset.valid.text_bytes(), 10);
        let other = Tokenizer::open("byte").expect("embedded");
        assert!(matches!(Dataset::open(folder.path(), &other), Err(Error::Format { .. })));
        assert!(matches!(dataset.check(10), Err(Error::TooShort { split: "validation", tokens: 10, .. })));
    }
}
