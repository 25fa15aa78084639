//! What a corpus is: how long, how many documents, how well its tokenizer compresses it, how it begins.

use std::path::{Path, PathBuf};

use crate::dataset::shards;
use crate::error::Result;
use crate::{Lengths, Manifest, ReadOptions, ShardFormat, Source, TokenShard, Tokenizer, Vocabulary};

/// Lines that are shown of a corpus, at most.
const LINES: usize = 5;

/// Tokens that are decoded for them.
const FIRST_TOKENS: usize = 400;

/// Characters that are shown of a line.
const LINE: usize = 200;

/// What is known of a shard, or of text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CorpusInfo {
    /// The file, the first of several, or the folder.
    pub path: PathBuf,
    /// What kind of shard it is; none: text.
    pub format: Option<ShardFormat>,
    /// Name of the tokenizer.
    pub tokenizer: String,
    /// Whether nothing says that it is this one: neither the caller, nor the shard, nor its folder.
    pub is_assumed: bool,
    /// Its number of tokens.
    pub vocab_size: usize,
    /// Bytes of a token on disk; none: text.
    pub token_width: Option<usize>,
    /// Tokens; of a shard, those that end documents are among them.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// How long documents are; empty where their ends are not marked.
    pub lengths: Lengths,
    /// How it begins.
    pub first_lines: Vec<String>,
}

impl CorpusInfo {
    /// Bytes of text that a token stands for, on average.
    pub fn bytes_per_token(&self) -> f64 {
        self.text_bytes as f64 / self.tokens.max(1) as f64
    }

    /// Looks at `path`: a shard, a folder with the shards of both splits (which gives two), or anything that
    /// is a [`Source`], which is then encoded.
    ///
    /// Without a tokenizer, that of the folder is used, or the one that the shard names, or else GPT-2's is
    /// assumed.
    ///
    /// # Errors
    ///
    /// What [`TokenShard::open`], [`Source::files`] and
    /// [`SourceFile::documents`](crate::SourceFile::documents) say.
    pub fn of(source: &Source, tokenizer: Option<&Tokenizer>, reading: &ReadOptions) -> Result<Vec<Self>> {
        let path = &source.location;
        if let Some(paths) = shards(path)? {
            return paths.iter().map(|paths| Self::of_shard(paths, tokenizer)).collect();
        }
        if is_shard(path) {
            return Ok(vec![Self::of_shard(std::slice::from_ref(path), tokenizer)?]);
        }
        match tokenizer {
            Some(tokenizer) => Ok(vec![Self::of_text(source, tokenizer, reading)?]),
            None => {
                let info = Self::of_text(source, &Tokenizer::open(DEFAULT_TOKENIZER)?, reading)?;
                Ok(vec![Self { is_assumed: true, ..info }])
            }
        }
    }

    /// Looks at a shard, which may lie in several files.
    fn of_shard(paths: &[PathBuf], tokenizer: Option<&Tokenizer>) -> Result<Self> {
        let shard = TokenShard::open_all(paths)?;
        let path = shard.path().to_owned();
        let folder = path.parent().unwrap_or(&path);
        let is_assumed = tokenizer.is_none() && shard.vocabulary().is_none() && !Tokenizer::is_in(folder);
        let tokenizer = match tokenizer {
            Some(tokenizer) => Some(tokenizer.clone()),
            None => likely_tokenizer(folder, &shard)?,
        };
        let shard = match &tokenizer {
            Some(tokenizer) => shard.made_with(tokenizer)?,
            None => shard,
        };
        let decoded = tokenizer.as_ref().map(|tokenizer| {
            let first = shard.tokens(0..shard.len().min(FIRST_TOKENS)).map(|token| token as u32);
            // A document's end is no text of its own.
            let end = tokenizer.end_of_text();
            tokenizer.decode(&first.take_while(|token| Some(*token) != end).collect::<Vec<_>>())
        });
        let end_of_text = shard.vocabulary().map_or_else(
            || tokenizer.as_ref().and_then(Tokenizer::end_of_text),
            |vocabulary| vocabulary.end_of_text,
        );
        let name = |vocabulary: &Vocabulary| vocabulary.tokenizer.clone();
        Ok(Self {
            format: Some(shard.format()),
            tokenizer: shard.vocabulary().map_or_else(
                || tokenizer.as_ref().map_or("unknown".to_owned(), |tokenizer| tokenizer.name().to_owned()),
                name,
            ),
            vocab_size: tokenizer.as_ref().map_or(shard.vocab_size(), Tokenizer::vocab_size),
            is_assumed,
            token_width: Some(shard.token_width()),
            tokens: shard.len() as u64,
            documents: shard.documents(),
            text_bytes: shard.text_bytes(),
            lengths: remembered(&path)?.unwrap_or_else(|| lengths(&shard, end_of_text)),
            first_lines: first_lines(&decoded.transpose()?.unwrap_or_default()),
            path,
        })
    }

    fn of_text(source: &Source, tokenizer: &Tokenizer, reading: &ReadOptions) -> Result<Self> {
        let mut info = Self {
            path: source.location.clone(),
            format: None,
            tokenizer: tokenizer.name().to_owned(),
            is_assumed: false,
            vocab_size: tokenizer.vocab_size(),
            token_width: None,
            tokens: 0,
            documents: 0,
            text_bytes: 0,
            lengths: Lengths::default(),
            first_lines: Vec::new(),
        };
        for file in source.files()? {
            file.documents(reading, &mut |document| {
                if info.documents == 0 {
                    info.first_lines = first_lines(document);
                }
                let tokens = tokenizer.encode(document)?.len() as u64;
                info.lengths.add(tokens);
                info.tokens += tokens;
                info.documents += 1;
                info.text_bytes += document.len() as u64;
                Ok(())
            })?;
        }
        if info.documents == 0 {
            return Err(source.empty());
        }
        Ok(info)
    }
}

/// What most published token files were made with.
const DEFAULT_TOKENIZER: &str = "gpt2";

fn is_shard(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "tokens" || ending == "bin") && path.is_file()
}

/// The tokenizer beside a shard, or the one it names if that is built in, or GPT-2's if the shard says nothing
/// and has no other tokens.
fn likely_tokenizer(folder: &Path, shard: &TokenShard) -> Result<Option<Tokenizer>> {
    let vocabulary = shard.vocabulary();
    let fits = |tokenizer: &Tokenizer| {
        vocabulary.is_none_or(|vocabulary| vocabulary.fingerprint == tokenizer.fingerprint())
    };
    if Tokenizer::is_in(folder) {
        return Ok(Some(Tokenizer::from_directory(folder)?).filter(fits));
    }
    let name = vocabulary.map_or(DEFAULT_TOKENIZER, |vocabulary| vocabulary.tokenizer.as_str());
    let built_in = crate::TOKENIZERS.contains(&name);
    let has_all = |tokenizer: &Tokenizer| shard.vocab_size() <= tokenizer.vocab_size();
    Ok(Tokenizer::open(name).ok().filter(|_| built_in).filter(fits).filter(has_all))
}

/// The histogram that was made when the shard was.
fn remembered(path: &Path) -> Result<Option<Lengths>> {
    let folder = path.parent().unwrap_or(path);
    let Some(manifest) = Manifest::read(folder)? else { return Ok(None) };
    let paths = shards(folder)?;
    Ok(paths.and_then(|[train, valid]| match path {
        path if [path] == train[..] => Some(manifest.train.lengths),
        path if [path] == valid[..] => Some(manifest.valid.lengths),
        _ => None,
    }))
}

fn lengths(shard: &TokenShard, end_of_text: Option<u32>) -> Lengths {
    let mut lengths = Lengths::default();
    let mut length = 0;
    let ends = |token: i32| end_of_text == Some(token as u32);
    if shard.documents() > 1 && end_of_text.is_none() {
        return lengths;
    }
    for token in shard.tokens(0..shard.len()) {
        length += 1;
        if ends(token) {
            lengths.add(length);
            length = 0;
        }
    }
    if length > 0 {
        lengths.add(length);
    }
    lengths
}

fn first_lines(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).take(LINES);
    lines.map(|line| line.chars().take(LINE).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrepareOptions, prepare};

    #[test]
    fn text_and_the_shards_made_of_it_have_the_same_numbers() {
        let of = |source: &Source| CorpusInfo::of(source, None, &ReadOptions::default());
        let input = tempfile::tempdir().expect("a temporary directory");
        for n in 0..40 {
            let text = format!("story {n}\nOnce upon a time {}", "there was a kiln. ".repeat(n));
            std::fs::write(input.path().join(format!("{n}.txt")), text).expect("writable");
        }
        let source = Source::new(input.path());
        let gpt2 = Tokenizer::open("gpt2").expect("embedded");
        let text = of(&source).expect("text").remove(0);
        assert_eq!((text.documents, text.format, text.first_lines[0].as_str()), (40, None, "story 0"));

        let out = input.path().join("out");
        prepare(&[source], &gpt2, &out, &PrepareOptions::default(), &mut |_| {}).expect("good input");
        let infos = of(&Source::new(&out)).expect("two shards");
        assert_eq!(infos.iter().map(|info| info.documents).sum::<u64>(), 40);
        assert_eq!(infos.iter().map(|info| info.text_bytes).sum::<u64>(), text.text_bytes);
        // Each document has a token more: its end.
        assert_eq!(infos.iter().map(|info| info.tokens).sum::<u64>(), text.tokens + 40);
        assert!(infos.iter().all(|info| info.first_lines[0].starts_with("story ")));

        // Without the description beside it, a shard tells the same.
        let alone = input.path().join("alone.tokens");
        std::fs::copy(out.join("train.tokens"), &alone).expect("writable");
        let alone = of(&Source::new(&alone)).expect("a shard").remove(0);
        assert_eq!((&alone.lengths, &alone.first_lines), (&infos[0].lengths, &infos[0].first_lines));
        assert_eq!(alone.tokenizer, "gpt2");
    }
}
