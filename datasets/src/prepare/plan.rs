//! What is to be read, and in which order.

use std::time::UNIX_EPOCH;

use xxhash_rust::xxh3::Xxh3;

use super::PrepareOptions;
use crate::error::{Error, Result};
use crate::{Format, ReadEvent, ReadOptions, Source, SourceFile, Tokenizer, Vocabulary};

/// Bytes of files on disk that make a group.
const GROUP: u64 = 32 << 20;

/// What was asked for, and the files of all sources in groups of consecutive ones. A group is read by one
/// thread.
pub(super) struct Plan<'a> {
    pub sources: &'a [Source],
    pub tokenizer: &'a Tokenizer,
    pub options: &'a PrepareOptions,
    pub groups: Vec<Group>,
    pub vocabulary: Vocabulary,
    /// The tokens that stand before each document, unless the end of the one before says the same.
    pub start: &'a [u32],
    /// The token that follows each document. A corpus of a single text has none: nothing is separated.
    pub separator: Option<u32>,
    /// How many characters of a single text are for training, if the rest is for validation.
    pub cut: Option<u64>,
    fingerprint: u64,
}

/// Files that are read one after the other.
pub(super) struct Group {
    /// Index of the source.
    pub source: usize,
    pub files: Vec<SourceFile>,
}

impl Group {
    /// Bytes on disk.
    pub(super) fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

impl<'a> Plan<'a> {
    pub(super) fn make(
        sources: &'a [Source],
        tokenizer: &'a Tokenizer,
        options: &'a PrepareOptions,
    ) -> Result<Self> {
        let groups = groups(sources)?;
        let single = single_text(&groups);
        let cut = match single {
            Some(file) if options.valid_fraction > 0.0 => {
                let characters = count_characters(file, options)?;
                Some((characters as f64 * (1.0 - options.valid_fraction)) as u64)
            }
            _ => None,
        };
        let vocabulary = Vocabulary::from(tokenizer);
        let separator = vocabulary.end_of_text.filter(|_| single.is_none());
        let start = match tokenizer.start_of_text() {
            [token] if Some(*token) == separator => &[],
            start => start,
        };
        let fingerprint = fingerprint(sources, &groups, &vocabulary, options)?;
        Ok(Self { sources, tokenizer, options, groups, vocabulary, start, separator, cut, fingerprint })
    }

    /// Two plans with the same fingerprint give the same shards.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:016x}", self.fingerprint)
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> u64 {
        self.groups.iter().map(Group::size).sum()
    }
}

fn groups(sources: &[Source]) -> Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for (source, description) in sources.iter().enumerate() {
        for file in description.files()? {
            match groups.last_mut().filter(|group| group.source == source && group.size() < GROUP) {
                Some(group) => group.files.push(file),
                None => groups.push(Group { source, files: vec![file] }),
            }
        }
    }
    Ok(groups)
}

/// The only file of the corpus, if it is plain text.
fn single_text(groups: &[Group]) -> Option<&SourceFile> {
    let [group] = groups else { return None };
    let [file] = group.files.as_slice() else { return None };
    (file.format == Format::Text).then_some(file)
}

/// Reads the file once; a bad one is reported when it is read for good.
fn count_characters(file: &SourceFile, options: &PrepareOptions) -> Result<u64> {
    let mut characters = 0;
    let reading = ReadOptions { lossy: options.lossy, ..ReadOptions::default() };
    file.read(&reading, &mut |event| {
        if let ReadEvent::Text(text) = event {
            characters += text.chars().count() as u64;
        }
        Ok(())
    })?;
    Ok(characters)
}

/// Covers everything that the shards depend on, including names, sizes and dates of the files.
fn fingerprint(
    sources: &[Source],
    groups: &[Group],
    vocabulary: &Vocabulary,
    options: &PrepareOptions,
) -> Result<u64> {
    let PrepareOptions { valid_fraction, seed, dedup, lossy, skip_bad, threads: _ } = options;
    let mut digest = Xxh3::new();
    let settings = (sources, valid_fraction, seed, dedup, lossy, skip_bad, vocabulary.fingerprint);
    digest.update(format!("{settings:?}").as_bytes());
    for file in groups.iter().flat_map(|group| &group.files) {
        if let Some(contents) = file.spool.contents() {
            digest.update(format!("{contents:?}").as_bytes());
            continue;
        }
        let metadata = std::fs::metadata(&file.path).map_err(Error::io(&file.path))?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        digest.update(format!("{:?}", (&file.path, file.size, modified)).as_bytes());
    }
    Ok(digest.digest())
}
