//! What the header of a safetensors file says besides its tensors.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use safetensors::SafeTensors;

use super::mapped::MappedFile;

/// The entries of a file; none if it is no such file.
pub(super) fn read(file: &MappedFile) -> HashMap<String, String> {
    let header = SafeTensors::read_metadata(file.bytes()).ok();
    header.and_then(|(_, header)| header.metadata().clone()).unwrap_or_default()
}

/// Puts the entries of a file that was just written in order: the library writes them in an order that changes from run to
/// run, and equal models are to be equal files.
pub(super) fn order(path: &Path, metadata: &BTreeMap<String, String>) -> std::io::Result<()> {
    // They come first, behind eight bytes of length, and are as long in any order.
    const START: &[u8] = b"{\"__metadata__\":{";
    let json = |text: &String| serde_json::to_string(text).expect("a string is JSON");
    let entries: Vec<String> =
        metadata.iter().map(|(key, value)| format!("{}:{}", json(key), json(value))).collect();
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
    let mut start = [0; 8 + START.len()];
    file.read_exact(&mut start)?;
    if &start[8..] == START {
        file.seek(SeekFrom::Start(start.len() as u64))?;
        file.write_all(entries.join(",").as_bytes())?;
    }
    Ok(())
}
