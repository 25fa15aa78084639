//! Token shards: files of token ids that are mapped into memory, so a corpus larger than memory costs nothing.

mod foreign;
mod header;
mod writer;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::Xxh3;

use self::header::{HEADER, Header, MAGIC};
pub use self::writer::ShardWriter;
pub(crate) use self::writer::{to_bytes, token_width};
use crate::Tokenizer;
use crate::error::{Error, Result};

/// The tokenizer that token ids belong to, as far as a shard remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Name of the tokenizer.
    pub tokenizer: String,
    /// See [`Tokenizer::fingerprint`].
    pub fingerprint: u64,
    /// Number of distinct tokens.
    pub size: usize,
    /// The token that ends a document.
    pub end_of_text: Option<u32>,
}

impl From<&Tokenizer> for Vocabulary {
    fn from(tokenizer: &Tokenizer) -> Self {
        Self {
            tokenizer: tokenizer.name().to_owned(),
            fingerprint: tokenizer.fingerprint(),
            size: tokenizer.vocab_size(),
            end_of_text: tokenizer.end_of_text(),
        }
    }
}

/// What kind of file a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardFormat {
    /// Kiln's own.
    Kiln,
    /// llm.c's `.bin`.
    LlmC,
    /// nanoGPT's `train.bin` and `val.bin`.
    NanoGpt,
}

/// A corpus, or a part of one, as token ids in a mapped file.
#[derive(Debug)]
pub struct TokenShard {
    path: PathBuf,
    format: ShardFormat,
    map: Mmap,
    /// Where the tokens begin.
    start: usize,
    width: usize,
    len: usize,
    documents: u64,
    text_bytes: u64,
    vocabulary: Option<Vocabulary>,
    largest: u32,
}

impl TokenShard {
    /// Opens a shard and verifies all of it. Files of llm.c, and of nanoGPT if their name ends in `.bin`, are shards
    /// too.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a file that is no shard, of another version, cut short, damaged, or with a token outside
    /// its own vocabulary.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let size = file.metadata().map_err(Error::io(path))?.len();
        let mut front = Vec::new();
        file.by_ref().take(HEADER as u64).read_to_end(&mut front).map_err(Error::io(path))?;
        let header = if front.starts_with(&MAGIC) {
            Header::parse(&front).map_err(|reason| Error::format(path, reason))?
        } else {
            foreign::header(path, &front, size)?
        };

        let payload = size.saturating_sub(header.start as u64);
        let expected = header.tokens.saturating_mul(header.width as u64);
        if expected != payload {
            let reason = format!(
                "{} tokens of {} bytes need {expected} bytes, but {payload} follow the header",
                header.tokens, header.width
            );
            return Err(Error::format(path, reason));
        }
        let (checksum, largest) = examine(&mut file, &header).map_err(Error::io(path))?;
        if header.checksum.is_some_and(|stated| stated != checksum) {
            return Err(Error::format(path, "the tokens are damaged: their checksum does not match"));
        }
        if let Some(vocabulary) = &header.vocabulary
            && header.tokens > 0
            && largest as usize >= vocabulary.size
        {
            let reason = format!("token {largest} is outside the vocabulary of {}", vocabulary.size);
            return Err(Error::format(path, reason));
        }
        // SAFETY: the map is read-only; shards are replaced by renaming, never written into. Another program that
        // truncates the file under us would fault, as with any mapped file.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        Ok(Self {
            path: path.to_owned(),
            format: header.format,
            map,
            start: header.start,
            width: header.width,
            len: header.tokens as usize,
            documents: header.documents,
            text_bytes: header.text_bytes,
            vocabulary: header.vocabulary,
            largest,
        })
    }

    /// A shard in an anonymous temporary file, for tests and small corpora.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no room for it.
    pub fn in_memory(tokens: &[u32], vocab_size: usize) -> Result<Self> {
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
    /// [`Error::OtherTokenizer`] if they were made with another one, [`Error::Format`] for a token that it does not
    /// know.
    pub fn made_with(mut self, tokenizer: &Tokenizer) -> Result<Self> {
        if let Some(vocabulary) = &self.vocabulary
            && vocabulary.fingerprint != tokenizer.fingerprint()
        {
            return Err(Error::OtherTokenizer {
                path: self.path,
                theirs: format!("\"{}\" of {} tokens", vocabulary.tokenizer, vocabulary.size),
                ours: format!("\"{}\" of {} tokens", tokenizer.name(), tokenizer.vocab_size()),
            });
        }
        let size = tokenizer.vocab_size();
        if !self.is_empty() && self.largest as usize >= size {
            let reason = format!(
                "token {} is outside the vocabulary of \"{}\", which has {size} tokens",
                self.largest,
                tokenizer.name()
            );
            return Err(Error::format(self.path, reason));
        }
        if self.vocabulary.is_none() {
            let lengths = (0..size as u32)
                .map(|token| tokenizer.decode_bytes(&[token]).map(|bytes| bytes.len() as u64))
                .collect::<Result<Vec<_>>>()?;
            self.text_bytes = self.tokens(0..self.len).map(|token| lengths[token as usize]).sum();
            let end = tokenizer.end_of_text();
            let ends = self.tokens(0..self.len).filter(|token| Some(*token as u32) == end).count() as u64;
            self.documents = ends.max(1);
            self.text_bytes -= end.map_or(0, |end| ends * lengths[end as usize]);
        }
        Ok(self)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of file it is.
    pub fn format(&self) -> ShardFormat {
        self.format
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of a token on disk.
    pub fn token_width(&self) -> usize {
        self.width
    }

    /// The tokenizer that made it, if the file says so.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        self.vocabulary.as_ref()
    }

    /// Number of distinct tokens of the tokenizer that made it; of a file that does not say, one more than the
    /// largest token.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.as_ref().map_or(self.largest as usize + 1, |vocabulary| vocabulary.size)
    }

    /// Number of documents; of a file that does not say, 0 until [`made_with`](Self::made_with) counts them.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Bytes of the text that the tokens encode, without the ends of documents: what turns a loss into bits per
    /// byte. Of a file that does not say, 0 until [`made_with`](Self::made_with) counts them.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// The tokens of a range of positions.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond the shard.
    pub fn tokens(&self, range: Range<usize>) -> impl Iterator<Item = i32> + '_ {
        let Range { start, end } = range;
        assert!(start <= end && end <= self.len, "tokens {start}..{end} of a shard of {}", self.len);
        let bytes = &self.map[self.start + start * self.width..self.start + end * self.width];
        bytes.chunks_exact(self.width).map(|bytes| match bytes {
            [a, b] => i32::from(u16::from_le_bytes([*a, *b])),
            [a, b, c, d] => i32::from_le_bytes([*a, *b, *c, *d]),
            _ => unreachable!("a token has two or four bytes"),
        })
    }
}

/// XXH3 of the tokens and the largest of them. Reads instead of touching the map: pages of a map that have been
/// touched count as memory of this process.
fn examine(file: &mut File, header: &Header) -> std::io::Result<(u64, u32)> {
    file.seek(SeekFrom::Start(header.start as u64))?;
    let (mut digest, mut largest) = (Xxh3::new(), 0);
    let mut bytes = vec![0; 1 << 20];
    let mut left = header.tokens as usize * header.width;
    while left > 0 {
        let count = left.min(bytes.len());
        let bytes = &mut bytes[..count];
        file.read_exact(bytes)?;
        digest.update(bytes);
        largest = largest.max(
            match header.width {
                2 => bytes.as_chunks().0.iter().map(|token| u32::from(u16::from_le_bytes(*token))).max(),
                _ => bytes.as_chunks().0.iter().map(|token| u32::from_le_bytes(*token)).max(),
            }
            .unwrap_or(0),
        );
        left -= count;
    }
    Ok((digest.digest(), largest))
}

#[cfg(test)]
mod tests;
