//! The header of a shard: 128 bytes before the tokens, all little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | `KILNTOKS` |
//! | 8–11 | version, 2 |
//! | 12–15 | bytes per token, 2 or 4 |
//! | 16–23 | number of tokens |
//! | 24–31 | size of the vocabulary |
//! | 32–39 | fingerprint of the tokenizer |
//! | 40–47 | bytes of the text that the tokens encode |
//! | 48–55 | XXH3 of the tokens |
//! | 56–63 | number of documents |
//! | 64–71 | the token that ends a document, or 2⁶⁴ - 1 |
//! | 72–119 | name of the tokenizer, UTF-8, filled up with zeros |
//! | 120–127 | XXH3 of the header up to here |

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{ShardFormat, Vocabulary};
use crate::error::{Error, Result};

pub(super) const MAGIC: [u8; 8] = *b"KILNTOKS";
pub(super) const HEADER: usize = 128;
const VERSION: u32 = 2;
const NAME: std::ops::Range<usize> = 72..120;
const NO_TOKEN: u64 = u64::MAX;

/// What the front of a file says about the tokens behind it.
#[derive(Debug)]
pub(super) struct Header {
    pub format: ShardFormat,
    /// Where the tokens begin.
    pub start: usize,
    /// Bytes per token.
    pub width: usize,
    pub tokens: u64,
    pub documents: u64,
    pub text_bytes: u64,
    pub checksum: Option<u64>,
    pub vocabulary: Option<Vocabulary>,
}

impl Header {
    /// Reads a header that begins with [`MAGIC`].
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refuse = |reason: String| Err(Error::format(path, reason));
        if bytes.len() < HEADER {
            return refuse(format!("{} bytes are too few for a token shard", bytes.len()));
        }
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        if u32_at(8) != VERSION {
            return Err(Error::ShardVersion { path: path.to_owned(), found: u32_at(8), expected: VERSION });
        }
        if u64_at(120) != xxh3_64(&bytes[..120]) {
            return refuse("the header is damaged: its checksum does not match".into());
        }
        let width = u32_at(12) as usize;
        if !matches!(width, 2 | 4) {
            return refuse(format!("{width} bytes per token, expected 2 or 4"));
        }
        let name = String::from_utf8_lossy(&bytes[NAME]);
        let vocabulary = Vocabulary {
            tokenizer: name.trim_end_matches('\0').to_owned(),
            fingerprint: u64_at(32),
            size: u64_at(24) as usize,
            end_of_text: u32::try_from(u64_at(64)).ok(),
        };
        Ok(Self {
            format: ShardFormat::Kiln,
            start: HEADER,
            width,
            tokens: u64_at(16),
            documents: u64_at(56),
            text_bytes: u64_at(40),
            checksum: Some(u64_at(48)),
            vocabulary: Some(vocabulary),
        })
    }

    /// The bytes that [`parse`](Self::parse) reads.
    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let vocabulary = self.vocabulary.clone().unwrap_or_default();
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.width as u32).to_le_bytes());
        for (at, value) in [
            (16, self.tokens),
            (24, vocabulary.size as u64),
            (32, vocabulary.fingerprint),
            (40, self.text_bytes),
            (48, self.checksum.unwrap_or_default()),
            (56, self.documents),
            (64, vocabulary.end_of_text.map_or(NO_TOKEN, u64::from)),
        ] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let name = &vocabulary.tokenizer[..vocabulary.tokenizer.floor_char_boundary(NAME.len())];
        bytes[NAME][..name.len()].copy_from_slice(name.as_bytes());
        let digest = xxh3_64(&bytes[..120]);
        bytes[120..].copy_from_slice(&digest.to_le_bytes());
        bytes
    }
}
