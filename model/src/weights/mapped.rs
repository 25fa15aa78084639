//! Files of weights as memory: only what is being read takes any.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::{Error, Result};

/// A mapped file.
pub(super) struct MappedFile {
    pub(super) path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        // SAFETY: the map is read-only and private to this struct; we replace model files by renaming, never
        // by writing into them. Another program that truncates the file under us would fault, as with any
        // mapped file.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Gives back the memory of a part of [`bytes`](Self::bytes) that will not be read soon; it is still
    /// there to be read.
    pub(super) fn release(&self, part: &[u8]) {
        let start = (part.as_ptr() as usize).checked_sub(self.map.as_ptr() as usize);
        let start = start.filter(|start| *start <= self.map.len() && part.len() <= self.map.len() - start);
        let start = start.expect("a part of this file");
        #[cfg(unix)]
        // SAFETY: the pages of a read-only map of a file hold nothing that the file does not; they are read
        // from it again. What the advice is refused for stays as it is.
        #[allow(unsafe_code)]
        let _ =
            unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, part.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of files that this process holds in memory.
    #[cfg(target_os = "linux")]
    fn resident(map: &Mmap) -> usize {
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("readable on Linux");
        let start = format!("{:x}-", map.as_ptr() as usize);
        let lines = smaps.lines().skip_while(|line| !line.starts_with(&start));
        let line = lines.into_iter().find(|line| line.starts_with("Rss:")).expect("of every mapping");
        line.split_whitespace().nth(1).expect("a number").parse::<usize>().expect("of kilobytes") * 1024
    }

    #[test]
    fn released_parts_take_no_memory_and_can_be_read_again() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("weights");
        let content: Vec<u8> = (0..4 << 20).map(|index| (index / 4096) as u8).collect();
        std::fs::write(&path, &content).expect("writable");
        let file = MappedFile::open(&path).expect("readable");
        assert_eq!(file.bytes(), content);
        #[cfg(target_os = "linux")]
        assert_eq!(resident(&file.map), content.len());
        file.release(&file.bytes()[1 << 20..]);
        #[cfg(target_os = "linux")]
        assert!(resident(&file.map) <= 1 << 20, "{} bytes are still there", resident(&file.map));
        assert_eq!(file.bytes(), content);
    }
}
