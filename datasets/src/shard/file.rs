//! One file of token ids, verified and mapped.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use xxhash_rust::xxh3::Xxh3;

use super::foreign;
use super::header::{HEADER, Header, MAGIC};
use crate::error::{Error, Result};

/// A file of tokens, of any of the formats.
#[derive(Debug)]
pub(super) struct TokenFile {
    pub path: PathBuf,
    pub header: Header,
    /// XXH3 of the tokens.
    pub checksum: u64,
    pub largest: u32,
    map: Mmap,
}

impl TokenFile {
    /// Opens a file and verifies all of it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let size = file.metadata().map_err(Error::io(path))?.len();
        let mut front = Vec::new();
        file.by_ref().take(HEADER as u64).read_to_end(&mut front).map_err(Error::io(path))?;
        let header = if front.starts_with(&MAGIC) {
            Header::parse(path, &front)?
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
        // SAFETY: the map is read-only; shards are replaced by renaming, never written into. Another program
        // that truncates the file under us would fault, as with any mapped file.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), header, checksum, largest, map })
    }

    pub(super) fn len(&self) -> usize {
        self.header.tokens as usize
    }

    /// The tokens of a range of positions, which must lie in the file.
    pub(super) fn tokens(&self, range: Range<usize>) -> impl Iterator<Item = i32> + '_ {
        let Header { start, width, .. } = self.header;
        let bytes = &self.map[start + range.start * width..start + range.end * width];
        bytes.chunks_exact(width).map(|bytes| match bytes {
            [a, b] => i32::from(u16::from_le_bytes([*a, *b])),
            [a, b, c, d] => i32::from_le_bytes([*a, *b, *c, *d]),
            _ => unreachable!("a token has two or four bytes"),
        })
    }
}

/// XXH3 of the tokens and the largest of them. Reads instead of touching the map: pages of a map that have
/// been touched count as memory of this process.
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
