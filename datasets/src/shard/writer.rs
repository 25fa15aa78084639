//! Writing a shard.

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use xxhash_rust::xxh3::Xxh3;

use super::header::{HEADER, Header};
use super::{ShardFormat, Vocabulary};
use crate::error::{Error, Result};
use crate::file::{replace_file, temporary_beside};

/// Writes a shard front to back; it appears under its name only when it is complete.
pub struct ShardWriter {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    width: usize,
    len: u64,
    vocabulary: Vocabulary,
    checksum: Xxh3,
}

impl ShardWriter {
    /// Starts a shard for the tokens of `vocabulary`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be written.
    pub fn create(path: &Path, vocabulary: Vocabulary) -> Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, temporary_beside(path)?);
        file.write_all(&[0; HEADER]).map_err(Error::io(path))?;
        let width = token_width(vocabulary.size);
        Ok(Self { path: path.to_owned(), file, width, len: 0, vocabulary, checksum: Xxh3::new() })
    }

    /// Appends tokens.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownToken`] for one outside the vocabulary, [`Error::Io`] if the disk is full.
    pub fn write(&mut self, tokens: &[u32]) -> Result<()> {
        self.write_bytes(&to_bytes(tokens, &self.vocabulary)?)
    }

    /// Appends tokens that are in the width of the shard already, and known to be in the vocabulary.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.checksum.update(bytes);
        self.len += (bytes.len() / self.width) as u64;
        self.file.write_all(bytes).map_err(Error::io(&self.path))
    }

    /// Completes the shard. It encodes `documents` documents of `text_bytes` bytes together.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the disk is full.
    pub fn finish(self, documents: u64, text_bytes: u64) -> Result<()> {
        let header = Header {
            format: ShardFormat::Kiln,
            start: HEADER,
            width: self.width,
            tokens: self.len,
            documents,
            text_bytes,
            checksum: Some(self.checksum.digest()),
            vocabulary: Some(self.vocabulary),
        };
        let path = self.path;
        let mut file = self.file.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&header.bytes()))
            .map_err(Error::io(&path))?;
        replace_file(&path, file)
    }
}

/// Bytes that a token of a vocabulary of `size` takes.
pub(crate) fn token_width(size: usize) -> usize {
    if size <= 1 << 16 { 2 } else { 4 }
}

/// Tokens as they stand in a shard of `vocabulary`.
pub(crate) fn to_bytes(tokens: &[u32], vocabulary: &Vocabulary) -> Result<Vec<u8>> {
    let (vocab_size, width) = (vocabulary.size, token_width(vocabulary.size));
    let mut bytes = Vec::with_capacity(tokens.len() * width);
    for &token in tokens {
        if token as usize >= vocab_size {
            return Err(Error::UnknownToken { token, vocab_size });
        }
        bytes.extend_from_slice(&token.to_le_bytes()[..width]);
    }
    Ok(bytes)
}
