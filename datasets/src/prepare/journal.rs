//! Which parts are finished: a line for each, written when its file is safely on disk.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::part::Part;
use crate::error::{Error, Result};

const JOURNAL: &str = "journal.jsonl";

/// First line of a journal.
#[derive(Serialize, Deserialize)]
struct Heading {
    plan: String,
}

/// The finished parts of a plan, by group and number; locked against other processes while it lives.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    pub parts: BTreeMap<(usize, usize), Part>,
}

impl Journal {
    /// Opens the journal in `folder`, or starts a new one if it is about another plan.
    pub(super) fn open(folder: &Path, plan: String) -> Result<Self> {
        let path = folder.join(JOURNAL);
        let file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy { path: folder.parent().unwrap_or(folder).to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(&path)(error)),
        }
        let text = std::fs::read(&path).map_err(Error::io(&path))?;
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let mut journal = Self { path, file, parts: BTreeMap::new() };
        let heading = lines.next().and_then(|line| serde_json::from_slice::<Heading>(line).ok());
        if heading.is_none_or(|heading| heading.plan != plan) {
            journal.clear(folder)?;
            journal.append(&Heading { plan })?;
            return Ok(journal);
        }
        let mut whole = text.split_inclusive(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len);
        for line in lines {
            // A line that was cut off by a kill is the last one.
            let Ok(part) = serde_json::from_slice::<Part>(line) else { break };
            if !line.ends_with(b"\n") || !part.is_in(folder) {
                break;
            }
            whole += line.len();
            journal.parts.insert((part.group, part.part), part);
        }
        journal.file.set_len(whole as u64).map_err(Error::io(&journal.path))?;
        Ok(journal)
    }

    /// How many parts of a group are finished, and whether these are all.
    pub(super) fn finished(&self, group: usize) -> (usize, bool) {
        let parts = self.parts.range((group, 0)..(group + 1, 0));
        let count = parts.clone().count();
        (count, parts.last().is_some_and(|(_, part)| part.ends_group))
    }

    pub(super) fn add(&mut self, part: Part) -> Result<()> {
        self.append(&part)?;
        self.parts.insert((part.group, part.part), part);
        Ok(())
    }

    fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(line).expect("plain values serialise");
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(Error::io(&self.path))
    }

    /// Removes what belongs to another plan.
    fn clear(&mut self, folder: &Path) -> Result<()> {
        self.file.set_len(0).map_err(Error::io(&self.path))?;
        for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
            let path = entry.map_err(Error::io(folder))?.path();
            if path != self.path {
                let remove =
                    if path.is_dir() { std::fs::remove_dir_all } else { std::fs::remove_file::<&PathBuf> };
                remove(&path).map_err(Error::io(&path))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::part::PartWriter;

    fn part(folder: &Path, group: usize, part: usize, ends_group: bool) -> Part {
        let mut writer = PartWriter::create(folder, group, part).expect("writable");
        writer.tokens(&[1, 0, 2, 0]).expect("room");
        writer.finish(ends_group).expect("room")
    }

    #[test]
    fn a_line_that_was_cut_off_and_a_file_that_is_gone_are_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let open = |plan: &str| Journal::open(folder.path(), plan.to_owned()).expect("writable");
        let mut journal = open("a");
        for (group, number, ends_group) in [(0, 0, false), (0, 1, true), (1, 0, false)] {
            journal.add(part(folder.path(), group, number, ends_group)).expect("room");
        }
        assert!(matches!(Journal::open(folder.path(), "a".into()), Err(Error::Busy { .. })));
        drop(journal);
        let finished = |plan: &str, group| {
            let journal = open(plan);
            journal.finished(group)
        };
        assert_eq!([0, 1, 2].map(|group| finished("a", group)), [(2, true), (1, false), (0, false)]);

        let path = folder.path().join(JOURNAL);
        let text = std::fs::read(&path).expect("just written");
        std::fs::write(&path, &text[..text.len() - 5]).expect("writable");
        assert_eq!([0, 1].map(|group| finished("a", group)), [(2, true), (0, false)]);
        std::fs::remove_file(folder.path().join("000000-000001.part")).expect("it is there");
        assert_eq!(finished("a", 0), (1, false));
        assert_eq!(finished("b", 0), (0, false));
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("a folder").count(),
            1,
            "only the journal is left"
        );
    }
}
