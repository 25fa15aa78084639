//! A finished piece of work: the tokens of some consecutive documents, and what is known of each.
//!
//! A part is a file: tokens as in a shard, then a record for each document.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::manifest::Skipped;
use super::text_batch::{Document, Fate};
use crate::error::{Error, Result};

/// Bytes of a record: hash, bytes, tokens, fate.
const RECORD: usize = 16 + 8 + 8 + 1;

/// What the journal remembers of a finished part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Part {
    pub group: usize,
    pub part: usize,
    pub documents: u64,
    /// Bytes of tokens before the records.
    pub token_bytes: u64,
    /// XXH3 of the file.
    pub checksum: u64,
    pub ends_group: bool,
    pub skipped: Vec<Skipped>,
    /// Documents without text.
    #[serde(default)]
    pub empty: u64,
}

/// A document in a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub document: Document,
    /// Tokens, the one that ends the document included.
    pub tokens: u64,
}

impl Part {
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        path(folder, self.group, self.part)
    }

    /// Whether the file is there in full.
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        let expected = self.token_bytes + self.documents * RECORD as u64;
        std::fs::metadata(self.path(folder)).is_ok_and(|metadata| metadata.len() == expected)
    }

    /// Checks the file against its checksum.
    pub(super) fn verify(&self, folder: &Path) -> Result<()> {
        let path = self.path(folder);
        let mut file = File::open(&path).map_err(Error::io(&path))?;
        let (mut digest, mut bytes) = (Xxh3::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut bytes).map_err(Error::io(&path))? {
                0 => break,
                count => digest.update(&bytes[..count]),
            }
        }
        if digest.digest() != self.checksum {
            return Err(Error::DamagedPart { path });
        }
        Ok(())
    }

    /// The records of the documents.
    pub(super) fn records(&self, folder: &Path) -> Result<Vec<Record>> {
        let path = self.path(folder);
        let mut file = File::open(&path).map_err(Error::io(&path))?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.token_bytes))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(Error::io(&path))?;
        Ok(bytes.as_chunks::<RECORD>().0.iter().map(Record::parse).collect())
    }

    /// The tokens, front to back.
    pub(super) fn tokens(&self, folder: &Path) -> Result<BufReader<File>> {
        let path = self.path(folder);
        Ok(BufReader::with_capacity(1 << 20, File::open(&path).map_err(Error::io(&path))?))
    }
}

impl Record {
    fn parse(bytes: &[u8; RECORD]) -> Self {
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let fate = match bytes[32] {
            0 => Fate::Open,
            1 => Fate::Train,
            2 => Fate::Valid,
            _ => Fate::Dropped,
        };
        let hash = u128::from(u64_at(0)) | u128::from(u64_at(8)) << 64;
        Self { document: Document { hash, bytes: u64_at(16), fate }, tokens: u64_at(24) }
    }

    fn bytes(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..16].copy_from_slice(&self.document.hash.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.document.bytes.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.tokens.to_le_bytes());
        bytes[32] = self.document.fate as u8;
        bytes
    }
}

fn path(folder: &Path, group: usize, part: usize) -> PathBuf {
    folder.join(format!("{group:06}-{part:06}.part"))
}

/// Writes a part; it has its name only when it is complete.
pub(super) struct PartWriter {
    folder: PathBuf,
    unfinished: PathBuf,
    file: BufWriter<File>,
    digest: Xxh3,
    records: Vec<u8>,
    part: Part,
}

impl PartWriter {
    pub(super) fn create(folder: &Path, group: usize, part: usize) -> Result<Self> {
        let unfinished = path(folder, group, part).with_extension("unfinished");
        let file = File::create(&unfinished).map_err(Error::io(&unfinished))?;
        let (ends_group, skipped) = (false, Vec::new());
        let part =
            Part { group, part, documents: 0, token_bytes: 0, checksum: 0, ends_group, skipped, empty: 0 };
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(Self {
            folder: folder.to_owned(),
            unfinished,
            file,
            digest: Xxh3::new(),
            records: Vec::new(),
            part,
        })
    }

    pub(super) fn tokens(&mut self, bytes: &[u8]) -> Result<()> {
        self.part.token_bytes += bytes.len() as u64;
        self.digest.update(bytes);
        self.file.write_all(bytes).map_err(Error::io(&self.unfinished))
    }

    pub(super) fn record(&mut self, record: &Record) {
        self.part.documents += 1;
        self.records.extend_from_slice(&record.bytes());
    }

    pub(super) fn skip(&mut self, skipped: Vec<Skipped>, empty: u64) {
        self.part.skipped.extend(skipped);
        self.part.empty += empty;
    }

    pub(super) fn finish(mut self, ends_group: bool) -> Result<Part> {
        self.digest.update(&self.records);
        self.part.checksum = self.digest.digest();
        self.part.ends_group = ends_group;
        self.file
            .write_all(&self.records)
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.unfinished, self.part.path(&self.folder)))
            .map_err(Error::io(&self.unfinished))?;
        Ok(self.part)
    }
}
