//! Documents that are in memory and split already, as the embedded corpus is.

use std::path::Path;

use super::{Dataset, TRAIN, VALID};
use crate::error::{Error, Result};
use crate::{ShardWriter, Tokenizer, Vocabulary};

/// The documents of the two splits, in memory.
#[derive(Clone, Debug)]
pub struct TextSplits {
    /// What the model learns from.
    pub train: Vec<String>,
    /// What it is judged by.
    pub valid: Vec<String>,
}

impl TextSplits {
    /// One token for each distinct character.
    pub fn character_tokenizer(&self) -> Tokenizer {
        Tokenizer::characters_of(&[self.train.concat(), self.valid.concat()].concat())
    }

    /// Encodes each split into a shard in `folder` and opens both. Where there are several documents, each ends with the
    /// tokenizer's end-of-text token, if it has one.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCharacter`] from a character tokenizer, [`Error::Io`] if the disk is full.
    pub fn encode(&self, tokenizer: &Tokenizer, folder: &Path) -> Result<Dataset> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let several = self.train.len() + self.valid.len() > 2;
        let end = tokenizer.end_of_text().filter(|_| several);
        for (name, documents) in [(TRAIN, &self.train), (VALID, &self.valid)] {
            let mut writer = ShardWriter::create(&folder.join(name), Vocabulary::from(tokenizer))?;
            let mut bytes = 0;
            for document in documents {
                writer.write(&tokenizer.encode(document)?)?;
                writer.write(end.as_slice())?;
                bytes += document.len() as u64;
            }
            writer.finish(documents.len() as u64, bytes)?;
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

    #[test]
    fn each_of_several_documents_ends_where_the_tokenizer_says_so() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let corpus =
            TextSplits { train: vec!["so it goes".into(), "so it ends".into()], valid: vec!["so".into()] };
        let learned = Tokenizer::train_bpe(&corpus.train, 260).expect("room");
        let dataset = corpus.encode(&learned, folder.path()).expect("writable");
        let end = learned.end_of_text().expect("learned tokens have one") as i32;
        let tokens: Vec<i32> = dataset.train.tokens(0..dataset.train.len()).collect();
        assert_eq!(tokens.iter().filter(|token| **token == end).count(), 2);
        assert_eq!((tokens.last(), dataset.train.documents()), (Some(&end), 2));
        assert_eq!((dataset.train.text_bytes(), dataset.valid.text_bytes()), (20, 2));
    }
}
