//! Token shards: files of token ids that are mapped into memory, so a corpus larger than memory costs nothing.
//!
//! A shard is a header of 64 bytes followed by the tokens, all little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | `KILNTOKS` |
//! | 8–11 | version, 1 |
//! | 12–15 | bytes per token, 2 or 4 |
//! | 16–23 | number of tokens |
//! | 24–31 | size of the vocabulary |
//! | 32–39 | fingerprint of the tokenizer |
//! | 40–47 | bytes of the text that the tokens encode |
//! | 48–55 | XXH3 of the tokens |
//! | 56–63 | XXH3 of the header up to here |

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::error::{Error, Result};

const MAGIC: [u8; 8] = *b"KILNTOKS";
const VERSION: u32 = 1;
const HEADER: usize = 64;

/// A corpus, or a part of one, as token ids in a mapped file.
#[derive(Debug)]
pub struct TokenShard {
    map: Mmap,
    width: usize,
    len: usize,
    vocab_size: usize,
    fingerprint: u64,
    text_bytes: u64,
}

impl TokenShard {
    /// Opens a shard and verifies all of it.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a file that is no shard, of another version, cut short, or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        // SAFETY: the map is read-only; shards are replaced by renaming, never written into. Another program that
        // truncates the file under us would fault, as with any mapped file.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let refuse = |reason: String| Err(Error::format(path, reason));

        let Some((header, payload)) = map.split_at_checked(HEADER) else {
            return refuse(format!("{} bytes are too few for a token shard", map.len()));
        };
        if header[..8] != MAGIC {
            return refuse("not a token shard: it does not begin with KILNTOKS".into());
        }
        let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        if u32_at(8) != VERSION {
            return refuse(format!("shard version {}, expected {VERSION}", u32_at(8)));
        }
        if u64_at(56) != xxh3_64(&header[..56]) {
            return refuse("the header is damaged: its checksum does not match".into());
        }
        let (width, len) = (u32_at(12) as usize, u64_at(16));
        let expected = len.saturating_mul(width as u64);
        if !matches!(width, 2 | 4) || expected != payload.len() as u64 {
            return refuse(format!(
                "{len} tokens of {width} bytes need {expected} bytes, but {} follow the header",
                payload.len()
            ));
        }
        if u64_at(48) != xxh3_64(payload) {
            return refuse("the tokens are damaged: their checksum does not match".into());
        }
        let (vocab_size, fingerprint, text_bytes) = (u64_at(24) as usize, u64_at(32), u64_at(40));
        Ok(Self { len: len as usize, width, vocab_size, fingerprint, text_bytes, map })
    }

    /// A shard in an anonymous temporary file, for tests and small corpora.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no room for it.
    pub fn in_memory(tokens: &[u32], vocab_size: usize) -> Result<Self> {
        let directory = std::env::temp_dir();
        let file = NamedTempFile::new().map_err(Error::io(&directory))?;
        let mut writer = ShardWriter::create(file.path(), vocab_size, 0)?;
        writer.write(tokens)?;
        writer.finish(0)?;
        Self::open(file.path())
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of distinct tokens of the tokenizer that made it.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Identifies the tokenizer that made it; see [`Tokenizer::fingerprint`](crate::Tokenizer::fingerprint).
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Bytes of the text that the tokens encode: what turns a loss into bits per byte.
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
        let bytes = &self.map[HEADER + start * self.width..HEADER + end * self.width];
        bytes.chunks_exact(self.width).map(|bytes| match bytes {
            [a, b] => i32::from(u16::from_le_bytes([*a, *b])),
            [a, b, c, d] => i32::from_le_bytes([*a, *b, *c, *d]),
            _ => unreachable!("a token has two or four bytes"),
        })
    }
}

/// Writes a shard front to back; it appears under its name only when it is complete.
pub struct ShardWriter {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    width: usize,
    len: u64,
    vocab_size: usize,
    fingerprint: u64,
    checksum: Xxh3,
}

impl ShardWriter {
    /// Begins a shard for tokens below `vocab_size`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be written.
    pub fn create(path: &Path, vocab_size: usize, fingerprint: u64) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(folder).map_err(Error::io(path))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&[0; HEADER]).map_err(Error::io(path))?;
        let width = if vocab_size <= 1 << 16 { 2 } else { 4 };
        Ok(Self {
            path: path.to_owned(),
            file,
            width,
            len: 0,
            vocab_size,
            fingerprint,
            checksum: Xxh3::new(),
        })
    }

    /// Appends tokens.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownToken`] for one outside the vocabulary, [`Error::Io`] if the disk is full.
    pub fn write(&mut self, tokens: &[u32]) -> Result<()> {
        let vocab_size = self.vocab_size;
        if let Some(&token) = tokens.iter().find(|token| **token as usize >= vocab_size) {
            return Err(Error::UnknownToken { token, vocab_size });
        }
        let mut bytes = Vec::with_capacity(tokens.len() * self.width);
        for token in tokens {
            bytes.extend_from_slice(&token.to_le_bytes()[..self.width]);
        }
        self.checksum.update(&bytes);
        self.len += tokens.len() as u64;
        self.file.write_all(&bytes).map_err(Error::io(&self.path))
    }

    /// Completes the shard; `text_bytes` is the size of the text it encodes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the disk is full.
    pub fn finish(self, text_bytes: u64) -> Result<()> {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&(self.width as u32).to_le_bytes());
        for (at, value) in [
            (16, self.len),
            (24, self.vocab_size as u64),
            (32, self.fingerprint),
            (40, text_bytes),
            (48, self.checksum.digest()),
        ] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let digest = xxh3_64(&header[..56]);
        header[56..].copy_from_slice(&digest.to_le_bytes());

        let path = self.path;
        let mut file = self.file.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&header))
            .and_then(|()| file.as_file().sync_all())
            .map_err(Error::io(&path))?;
        file.persist(&path).map_err(|error| Error::io(&path)(error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tokens: &[u32], vocab_size: usize) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("train.tokens");
        let mut writer = ShardWriter::create(&path, vocab_size, 42).expect("writable");
        writer.write(tokens).expect("room");
        writer.finish(1234).expect("room");
        (folder, path)
    }

    #[test]
    fn tokens_return_in_both_widths() {
        for (tokens, vocab_size) in [([0, 1, 65_535], 65_536), ([0, 70_000, 200_018], 200_019)] {
            let (_folder, path) = written(&tokens, vocab_size);
            let shard = TokenShard::open(&path).expect("whole");
            let read: Vec<u32> = shard.tokens(0..3).map(|token| token as u32).collect();
            assert_eq!(read, tokens);
            assert_eq!((shard.vocab_size(), shard.fingerprint(), shard.text_bytes()), (vocab_size, 42, 1234));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (_folder, path) = written(&(0..50).collect::<Vec<_>>(), 50);
        let whole = std::fs::read(&path).expect("just written");
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1 << (byte % 8);
            std::fs::write(&path, damaged).expect("writable");
            assert!(TokenShard::open(&path).is_err(), "flipped bit in byte {byte}");
            std::fs::write(&path, &whole[..byte]).expect("writable");
            assert!(TokenShard::open(&path).is_err(), "cut at byte {byte}");
        }
    }

    #[test]
    fn tokens_outside_the_vocabulary_are_refused_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut writer = ShardWriter::create(&folder.path().join("x"), 10, 0).expect("writable");
        assert!(matches!(writer.write(&[3, 10]), Err(Error::UnknownToken { token: 10, .. })));
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
