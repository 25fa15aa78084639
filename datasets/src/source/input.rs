//! The bytes of a file, unpacked, counted, without a mark before them, and on request made valid UTF-8.

use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::SourceFile;
use super::format::Compression;
use super::rewritten::{Rewrite, Rewritten};
use crate::binary::{Binary, LOOKED_AT};
use crate::error::{Error, Result};

const BUFFER: usize = 1 << 18;

/// The mark that some programs put before UTF-8; it is no character of the text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Its like before UTF-16, in either order of bytes.
const MARKS_OF_UTF16: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

/// Largest window that a Zstandard file may ask for, as a power of two: what `zstd --long=31` writes.
const ZSTD_WINDOW: u32 = if cfg!(target_pointer_width = "64") { 31 } else { 30 };

/// Unpacked bytes.
pub(super) struct Input {
    pub bytes: Box<dyn BufRead>,
    /// How many bytes of the file are before them.
    pub offset: u64,
}

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
    let raw = Counted {
        inner: file.open().map_err(Error::io(&file.path))?,
        count: Arc::clone(&options.bytes_read),
    };
    let mut unpacked =
        unpack(BufReader::with_capacity(BUFFER, raw), file.compression).map_err(Error::io(&file.path))?;
    let mut front = Vec::new();
    unpacked.by_ref().take(LOOKED_AT as u64).read_to_end(&mut front).map_err(Error::io(&file.path))?;
    if MARKS_OF_UTF16.iter().any(|mark| front.starts_with(mark)) {
        return Err(Error::Utf16 { path: file.path.clone() });
    }
    if let Some(found) = Binary::of(&front) {
        return Err(Error::Binary { path: file.path.clone(), found });
    }
    let offset = if front.starts_with(MARK) { MARK.len() } else { 0 };
    front.drain(..offset);
    let bytes = Cursor::new(front).chain(unpacked);
    let bytes: Box<dyn BufRead> = match options.lossy {
        true => Box::new(BufReader::with_capacity(BUFFER, Lossy::new(bytes))),
        false => Box::new(BufReader::with_capacity(BUFFER, bytes)),
    };
    Ok(Input { bytes, offset: offset as u64 })
}

fn unpack(raw: impl BufRead + 'static, compression: Compression) -> io::Result<Box<dyn Read>> {
    Ok(match compression {
        Compression::None => Box::new(raw),
        Compression::Gzip => {
            Box::new(Unpacked { inner: flate2::bufread::MultiGzDecoder::new(raw), name: "gzip" })
        }
        Compression::Zstandard => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(Unpacked { inner: decoder, name: "zstd" })
        }
    })
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
}

impl<R: Read> Lossy<R> {
    fn new(inner: R) -> Rewritten<Self> {
        Rewritten::new(Self { inner, incomplete: Vec::new() })
    }
}

impl<R: Read> Rewrite for Lossy<R> {
    fn piece(&mut self, ready: &mut Vec<u8>) -> io::Result<bool> {
        let mut bytes = std::mem::take(&mut self.incomplete);
        let carried = bytes.len();
        bytes.resize(carried + (1 << 16), 0);
        let read = self.inner.read(&mut bytes[carried..])?;
        bytes.truncate(carried + read);
        let end = bytes.len();
        let mut at = 0;
        for chunk in bytes.utf8_chunks() {
            ready.extend_from_slice(chunk.valid().as_bytes());
            at += chunk.valid().len() + chunk.invalid().len();
            let unfinished = at == end
                && read > 0
                && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if unfinished {
                self.incomplete = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                ready.extend_from_slice("\u{FFFD}".as_bytes());
            }
        }
        Ok(read > 0)
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
