//! Plain text: a file is a document.

use super::input::Input;
use super::{ReadEvent, SourceFile};
use crate::Location;
use crate::error::{Error, Result};

const CHUNK: usize = 1 << 18;

/// Hands out the text of `file` in pieces of whole characters.
pub(super) fn read(
    file: &SourceFile,
    mut input: Input,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    // Before the piece at hand.
    let (mut offset, mut lines) = (input.offset, 0);
    let mut bytes = vec![0; CHUNK];
    let mut held = 0;
    loop {
        let read = match input.bytes.read(&mut bytes[held..]) {
            Ok(read) => read,
            Err(error) => return each(ReadEvent::Bad(Error::io(&file.path)(error))),
        };
        let filled = held + read;
        let valid = match std::str::from_utf8(&bytes[..filled]) {
            Ok(_) => filled,
            // The end of the piece may cut a character, the end of the file may not.
            Err(error) if error.error_len().is_none() && read > 0 => error.valid_up_to(),
            Err(error) => {
                let valid = error.valid_up_to();
                let line = lines + newlines(&bytes[..valid]) + 1;
                let offset = offset + valid as u64;
                return each(ReadEvent::Bad(Error::NotUtf8 { path: file.path.clone(), line, offset }));
            }
        };
        if valid > 0 {
            each(ReadEvent::Text(std::str::from_utf8(&bytes[..valid]).expect("just checked")))?;
        }
        if read == 0 {
            return each(ReadEvent::End(Location::File));
        }
        offset += valid as u64;
        lines += newlines(&bytes[..valid]);
        bytes.copy_within(valid..filled, 0);
        held = filled - valid;
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
