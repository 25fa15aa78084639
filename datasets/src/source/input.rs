//! The bytes of a file, unpacked, counted, and on request made valid UTF-8.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::SourceFile;
use super::format::Compression;
use crate::error::{Error, Result};

const BUFFER: usize = 1 << 18;

/// Buffered reader of unpacked bytes.
pub(super) type Input = BufReader<Box<dyn Read>>;

/// How documents are read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Replaces bytes that are not UTF-8 by `U+FFFD` instead of refusing them.
    pub lossy: bool,
    /// Passes over bad documents, where documents are read as a whole.
    pub skip_bad: bool,
    /// Counts the bytes that were taken from disk, for a progress bar.
    pub bytes_read: Arc<AtomicU64>,
}

/// Opens `file` for reading.
pub(super) fn open(file: &SourceFile, options: &ReadOptions) -> Result<Input> {
    let raw = File::open(&file.path).map_err(Error::io(&file.path))?;
    let raw =
        BufReader::with_capacity(BUFFER, Counted { inner: raw, count: Arc::clone(&options.bytes_read) });
    let unpacked: Box<dyn Read> = match file.compression {
        Compression::None => Box::new(raw),
        Compression::Gzip => {
            Box::new(Unpacked { inner: flate2::bufread::MultiGzDecoder::new(raw), name: "gzip" })
        }
        Compression::Zstandard => {
            let decoder = zstd::stream::read::Decoder::with_buffer(raw).map_err(Error::io(&file.path))?;
            Box::new(Unpacked { inner: decoder, name: "zstd" })
        }
    };
    let bytes = if options.lossy { Box::new(Lossy::new(unpacked)) } else { unpacked };
    Ok(BufReader::with_capacity(BUFFER, bytes))
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Says what it means when a decoder gives up: the file is damaged, not the disk.
struct Unpacked<R> {
    inner: R,
    name: &'static str,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof
            | ErrorKind::InvalidData
            | ErrorKind::InvalidInput
            | ErrorKind::Other => {
                let message = format!("the {} data is damaged or cut short ({error})", self.name);
                io::Error::new(ErrorKind::InvalidData, message)
            }
            _ => error,
        })
    }
}

/// Replaces what is not UTF-8 by `U+FFFD`.
struct Lossy<R> {
    inner: R,
    /// The front of a character whose rest has not been read.
    incomplete: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
}

impl<R: Read> Lossy<R> {
    fn new(inner: R) -> Self {
        Self { inner, incomplete: Vec::new(), ready: Vec::new(), taken: 0 }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        while self.ready.is_empty() {
            let mut bytes = std::mem::take(&mut self.incomplete);
            let carried = bytes.len();
            bytes.resize(carried + (1 << 16), 0);
            let read = self.inner.read(&mut bytes[carried..])?;
            bytes.truncate(carried + read);
            let end = bytes.len();
            let mut at = 0;
            for chunk in bytes.utf8_chunks() {
                self.ready.extend_from_slice(chunk.valid().as_bytes());
                at += chunk.valid().len() + chunk.invalid().len();
                let unfinished = at == end
                    && read > 0
                    && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
                if unfinished {
                    self.incomplete = chunk.invalid().to_vec();
                } else if !chunk.invalid().is_empty() {
                    self.ready.extend_from_slice("\u{FFFD}".as_bytes());
                }
            }
            if read == 0 {
                break;
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Lossy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            self.refill()?;
        }
        let count = buffer.len().min(self.ready.len() - self.taken);
        buffer[..count].copy_from_slice(&self.ready[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out one byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    proptest! {
        #[test]
        fn lossy_reads_what_the_standard_library_would(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0xC0..0xFFu8, Just(0x80), Just(0x9F)], 0..40),
        ) {
            let mut read = String::new();
            Lossy::new(Drops(&bytes)).read_to_string(&mut read).expect("valid UTF-8");
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }
    }
}
