//! A small corpus that is in memory already: the embedded one.

use std::path::Path;

use crate::error::{Error, Result};
use crate::prepare::dataset::{Dataset, TRAIN, VALID};
use crate::{ShardWriter, Tokenizer, Vocabulary};

/// Text, split.
#[derive(Clone, Debug)]
pub struct TextSplits {
    /// Documents of the training split.
    pub train: Vec<String>,
    /// Documents of the validation split.
    pub valid: Vec<String>,
}

impl TextSplits {
    /// One token for each distinct character.
    pub fn character_tokenizer(&self) -> Tokenizer {
        let all: String = self.train.iter().chain(&self.valid).map(String::as_str).collect();
        Tokenizer::characters_of(&all)
    }

    /// Encodes the corpus into two shards in `folder` and opens them.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCharacter`] from a character tokenizer, [`Error::Io`] if the disk is full.
    pub fn encode(&self, tokenizer: &Tokenizer, folder: &Path) -> Result<Dataset> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let separator = tokenizer.end_of_text().filter(|_| self.train.len() + self.valid.len() > 2);
        for (name, documents) in [(TRAIN, &self.train), (VALID, &self.valid)] {
            let mut writer = ShardWriter::create(&folder.join(name), Vocabulary::from(tokenizer))?;
            let mut text_bytes = 0;
            for text in documents {
                text_bytes += text.len() as u64;
                writer.write(&tokenizer.encode(text)?)?;
                writer.write(separator.as_slice())?;
            }
            writer.finish(documents.len() as u64, text_bytes)?;
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
        let corpus = TextSplits {
            train: vec!["to be or not to be, that is th".into()],
            valid: vec!["e question".into()],
        };
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
