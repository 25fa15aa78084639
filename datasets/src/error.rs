//! What can go wrong outside our control.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the datasets crate: text or tokens that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A text file is not text.
    #[error("{}:{line}: byte {byte} of the line is not UTF-8\nhint: convert the file, for instance with `iconv -f latin1 -t utf-8`", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// One-based line number.
        line: usize,
        /// One-based position in the line.
        byte: usize,
    },
    /// There is nothing to read.
    #[error("{}: {reason}", path.display())]
    NoText {
        /// The file or folder.
        path: PathBuf,
        /// Why there is no text in it.
        reason: &'static str,
    },
    /// A corpus has fewer tokens than one training window.
    #[error("the {split} split has {tokens} tokens, but a window of context_length = {context_length} needs {needed}\nhint: use more text, a smaller model.context_length{more}", needed = context_length + 1, more = if *split == "validation" { ", or a larger data.valid_fraction" } else { "" })]
    TooShort {
        /// `training` or `validation`.
        split: &'static str,
        /// Tokens there are.
        tokens: usize,
        /// Tokens a window spans.
        context_length: usize,
    },
    /// A character that a character tokenizer has never seen.
    #[error(
        "the tokenizer has no token for {character:?} (character {position} of the text)\nhint: this model was trained on a corpus without that character; `kiln info --model DIR` lists those it knows"
    )]
    UnknownCharacter {
        /// The character.
        character: char,
        /// One-based position in the text.
        position: usize,
    },
    /// Bytes that are not text, for a tokenizer that needs text.
    #[error(
        "byte {byte} is not UTF-8, which the tokenizer \"{tokenizer}\" needs\nhint: byte, gpt2, cl100k_base and o200k_base take any bytes"
    )]
    InvalidUtf8 {
        /// One-based position of the first invalid byte.
        byte: usize,
        /// Name of the tokenizer.
        tokenizer: String,
    },
    /// A token id outside the vocabulary.
    #[error("token {token} is outside the vocabulary of {vocab_size}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// Number of tokens there are.
        vocab_size: usize,
    },
    /// A vocabulary too small to learn.
    #[error(
        "tokenizer.vocab_size = {vocab_size}: must be at least {least}, for every byte and the end-of-text token"
    )]
    VocabSize {
        /// Tokens asked for.
        vocab_size: usize,
        /// Fewest there can be.
        least: usize,
    },
    /// A tokenizer name that nothing answers to.
    #[error(
        "unknown tokenizer \"{name}\"\nhint: use char, byte, gpt2, cl100k_base, o200k_base, or a directory with a tokenizer.json"
    )]
    UnknownTokenizer {
        /// The name given.
        name: String,
    },
    /// A tokenizer or shard file is there but is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found, and what was expected.
        reason: String,
    },
}

impl Error {
    /// Pairs an I/O error with the path it happened at.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// A file whose contents are wrong.
    pub(crate) fn format(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.into(), reason: reason.into() }
    }
}
