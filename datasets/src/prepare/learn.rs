//! A tokenizer made from the corpus that it is to encode.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use super::PrepareOptions;
use crate::error::Result;
use crate::{Format, ReadOptions, Source, SourceFile, Tokenizer, mix};

/// One token for each distinct character of the corpus.
///
/// # Errors
///
/// What [`Source::files`] and [`SourceFile::documents`] say.
pub fn character_tokenizer(sources: &[Source], options: &PrepareOptions) -> Result<Tokenizer> {
    let mut characters = BTreeSet::new();
    each_document(&files(sources)?, options, &mut |document| {
        characters.extend(document.chars());
        Ok(())
    })?;
    Ok(Tokenizer::characters_of(&characters.into_iter().collect::<String>()))
}

/// Documents of about `bytes` together to learn a vocabulary from, chosen by their content. Of a single text
/// it is the beginning that is for training.
///
/// # Errors
///
/// What [`Source::files`] and [`SourceFile::documents`] say, [`Error::NoText`](crate::Error::NoText) if there
/// is nothing.
pub fn sample_documents(sources: &[Source], options: &PrepareOptions, bytes: u64) -> Result<Vec<String>> {
    let files = files(sources)?;
    let total: u64 = files.iter().map(|file| file.size).sum();
    let single = matches!(files.as_slice(), [file] if file.format == Format::Text);
    let share = bytes as f64 / total.max(1) as f64;
    let mut documents = Vec::new();
    each_document(&files, options, &mut |document| {
        if single {
            let characters = document.chars().count() as f64 * (1.0 - options.valid_fraction);
            let end = document.char_indices().nth(characters as usize).map_or(document.len(), |(at, _)| at);
            let end = document.floor_char_boundary(end.min(bytes as usize));
            documents.push(document[..end].to_owned());
        } else if (mix(options.seed, !xxh3_64(document.as_bytes())) as f64 / u64::MAX as f64) < share {
            documents.push(document.to_owned());
        }
        Ok(())
    })?;
    match sources.first() {
        Some(source) if documents.is_empty() => Err(source.empty()),
        _ => Ok(documents),
    }
}

fn files(sources: &[Source]) -> Result<Vec<SourceFile>> {
    let files: Vec<_> = sources.iter().map(Source::files).collect::<Result<_>>()?;
    Ok(files.concat())
}

fn each_document(
    files: &[SourceFile],
    options: &PrepareOptions,
    each: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let reading = ReadOptions { lossy: options.lossy, skip_bad: options.skip_bad, ..ReadOptions::default() };
    files.iter().try_for_each(|file| file.documents(&reading, each))
}
