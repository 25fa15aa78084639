//! A text that is in memory and split already, as the embedded corpus is.

use std::path::Path;

use super::{Dataset, TRAIN, VALID};
use crate::error::{Error, Result};
use crate::{ShardWriter, Tokenizer, Vocabulary};

/// The two splits of a single text, in memory.
#[derive(Clone, Debug)]
pub struct TextSplits {
    /// What the model learns from.
    pub train: String,
    /// What it is judged by.
    pub valid: String,
}

impl TextSplits {
    /// One token for each distinct character.
    pub fn character_tokenizer(&self) -> Tokenizer {
        Tokenizer::characters_of(&[self.train.as_str(), &self.valid].concat())
    }

    /// Encodes each split into a shard in `folder` and opens both. As with any single text, nothing separates
    /// documents.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCharacter`] from a character tokenizer, [`Error::Io`] if the disk is full.
    pub fn encode(&self, tokenizer: &Tokenizer, folder: &Path) -> Result<Dataset> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        for (name, text) in [(TRAIN, &self.train), (VALID, &self.valid)] {
            let mut writer = ShardWriter::create(&folder.join(name), Vocabulary::from(tokenizer))?;
            writer.write(&tokenizer.encode(text)?)?;
            writer.finish(1, text.len() as u64)?;
        }
        Dataset::open(folder, tokenizer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_hold_the_text_and_know_their_tokenizer() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let corpus =
            TextSplits { train: "to be or not to be, that is th".into(), valid: "e question".into() };
        let tokenizer = corpus.character_tokenizer();
        let dataset = corpus.encode(&tokenizer, folder.path()).expect("known characters");
        let tokens: Vec<u32> =
            dataset.valid.tokens(0..dataset.valid.len()).map(|token| token as u32).collect();
        assert_eq!(tokenizer.decode(&tokens).expect("own tokens"), "e question");
        assert_eq!(dataset.valid.text_bytes(), 10);
        let other = Tokenizer::open("byte").expect("embedded");
        assert!(matches!(Dataset::open(folder.path(), &other), Err(Error::OtherTokenizer { .. })));
        assert!(matches!(dataset.check(10), Err(Error::TooShort { split: "validation", tokens: 10, .. })));
    }
}
