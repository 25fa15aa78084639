//! Token ids in mapped files, which are read as if they were one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::file::TokenFile;
use super::{ShardFormat, ShardWriter, Vocabulary};
use crate::Tokenizer;
use crate::error::{Error, Result};

/// A corpus, or a part of one, as token ids in a mapped file, or in several that are read as if they were
/// one.
#[derive(Debug)]
pub struct TokenShard {
    files: Vec<TokenFile>,
    /// Tokens up to the end of each file.
    ends: Vec<usize>,
    documents: u64,
    text_bytes: u64,
    largest: u32,
}

impl TokenShard {
    /// Opens a shard and verifies all of it. Files of llm.c, and of nanoGPT if their name ends in `.bin`, are
    /// shards too.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a file that is no shard, of another version, cut short, damaged, or with a token
    /// outside its own vocabulary.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_all(&[path.to_owned()])
    }

    /// Opens files that follow each other: a window may begin in one and end in the next.
    ///
    /// # Errors
    ///
    /// What [`open`](Self::open) says of each, and [`Error::Format`] if they do not belong together.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self> {
        let files = paths.iter().map(|path| TokenFile::open(path)).collect::<Result<Vec<_>>>()?;
        let first = &files[0];
        for file in &files {
            if (file.header.format, &file.header.vocabulary)
                != (first.header.format, &first.header.vocabulary)
            {
                let reason = format!("not of the same kind as {}, beside it", first.path.display());
                return Err(Error::format(&file.path, reason));
            }
        }
        let mut end = 0;
        let ends = files.iter().map(|file| {
            end += file.len();
            end
        });
        Ok(Self {
            ends: ends.collect(),
            documents: files.iter().map(|file| file.header.documents).sum(),
            text_bytes: files.iter().map(|file| file.header.text_bytes).sum(),
            largest: files.iter().map(|file| file.largest).max().unwrap_or(0),
            files,
        })
    }

    /// A shard in an anonymous temporary file, for tests and small corpora.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no room for it.
    pub fn temporary(tokens: &[u32], vocab_size: usize) -> Result<Self> {
        let directory = std::env::temp_dir();
        let file = NamedTempFile::new().map_err(Error::io(&directory))?;
        let vocabulary = Vocabulary { size: vocab_size, ..Vocabulary::default() };
        let mut writer = ShardWriter::create(file.path(), vocabulary)?;
        writer.write(tokens)?;
        writer.finish(0, 0)?;
        Self::open(file.path())
    }

    /// Makes sure that the tokens are `tokenizer`'s, and completes what files of other programs do not say.
    ///
    /// # Errors
    ///
    /// [`Error::OtherTokenizer`] if they were made with another one, [`Error::Format`] for a token that it
    /// does not know.
    pub fn made_with(mut self, tokenizer: &Tokenizer) -> Result<Self> {
        if let Some(vocabulary) = self.vocabulary()
            && vocabulary.fingerprint != tokenizer.fingerprint()
        {
            return Err(Error::OtherTokenizer {
                path: self.path().to_owned(),
                theirs: format!("\"{}\" of {} tokens", vocabulary.tokenizer, vocabulary.size),
                ours: format!("\"{}\" of {} tokens", tokenizer.name(), tokenizer.vocab_size()),
            });
        }
        let size = tokenizer.vocab_size();
        if let Some(file) = self.files.iter().find(|file| file.len() > 0 && file.largest as usize >= size) {
            let reason = format!(
                "token {} is outside the vocabulary of \"{}\", which has {size} tokens",
                file.largest,
                tokenizer.name()
            );
            return Err(Error::format(&file.path, reason));
        }
        if self.vocabulary().is_none() {
            let lengths = (0..size as u32)
                .map(|token| tokenizer.decode_bytes(&[token]).map(|bytes| bytes.len() as u64))
                .collect::<Result<Vec<_>>>()?;
            let end = tokenizer.end_of_text();
            let (mut text_bytes, mut ends) = (0, 0);
            self.tokens(0..self.len()).for_each(|token| {
                if Some(token as u32) == end {
                    ends += 1;
                } else {
                    text_bytes += lengths[token as usize];
                }
            });
            (self.text_bytes, self.documents) = (text_bytes, ends.max(1));
        }
        Ok(self)
    }

    /// The file, or the first of several.
    pub fn path(&self) -> &Path {
        &self.files[0].path
    }

    /// Name, number of tokens and checksum of each file.
    pub fn identity(&self) -> Vec<FileIdentity> {
        let identity = |file: &TokenFile| FileIdentity {
            file: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            tokens: file.header.tokens,
            checksum: file.checksum,
        };
        self.files.iter().map(identity).collect()
    }

    /// What kind of file it is.
    pub fn format(&self) -> ShardFormat {
        self.files[0].header.format
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of a token on disk.
    pub fn token_width(&self) -> usize {
        self.files[0].header.width
    }

    /// The tokenizer that made it, if the file says so.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        self.files[0].header.vocabulary.as_ref()
    }

    /// Number of distinct tokens of the tokenizer that made it; of a file that does not say, one more than
    /// the largest token.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary().map_or(self.largest as usize + 1, |vocabulary| vocabulary.size)
    }

    /// Number of documents; of a file that does not say, 0 until [`made_with`](Self::made_with) counts them.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Bytes of the text that the tokens encode, without the ends of documents: what turns a loss into bits
    /// per byte. Of a file that does not say, 0 until [`made_with`](Self::made_with) counts them.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// The tokens of a range of positions.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the shard.
    pub fn tokens(&self, range: Range<usize>) -> impl Iterator<Item = i32> + '_ {
        self.runs(range).flatten()
    }

    /// The tokens of a range of positions, file by file.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the shard.
    pub(crate) fn runs(
        &self,
        Range { start, end }: Range<usize>,
    ) -> impl Iterator<Item = impl Iterator<Item = i32> + '_> + '_ {
        assert!(start <= end && end <= self.len(), "tokens {start}..{end} of a shard of {}", self.len());
        let first = self.ends.partition_point(|file_end| *file_end <= start);
        let files = self.files.iter().zip(&self.ends).skip(first);
        files.take_while(move |(file, file_end)| **file_end - file.len() < end).map(
            move |(file, file_end)| {
                let file_start = file_end - file.len();
                file.tokens(start.max(file_start) - file_start..end.min(*file_end) - file_start)
            },
        )
    }
}

/// What a file of tokens is known by: one of the same name with other tokens is another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Its name, without the folder.
    pub file: String,
    /// Number of tokens.
    pub tokens: u64,
    /// XXH3 of them.
    pub checksum: u64,
}
