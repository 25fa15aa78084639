//! What can go wrong outside our control.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::source::Location;

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
    #[error("{}:{line}: byte {offset} of the file is not UTF-8\nhint: convert the file, for instance with `iconv -f latin1 -t utf-8`, or replace such bytes with --lossy", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// One-based line number.
        line: u64,
        /// Bytes before it, after unpacking.
        offset: u64,
    },
    /// A document that cannot be used.
    #[error("{}{location}: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        location: Location,
        /// What is wrong with it.
        reason: String,
    },
    /// A document that cannot be encoded.
    #[error("{}{location}: {source}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        location: Location,
        /// Why not.
        source: Box<Error>,
    },
    /// A folder that holds another prepared corpus.
    #[error("{}: holds a corpus that was prepared from other files or with other settings", path.display())]
    Prepared {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that another process works in.
    #[error("{}: another process is preparing a corpus here", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A corpus that nobody knows.
    #[error("unknown corpus \"{name}\"\nhint: use {}, or hf://datasets/OWNER/NAME", crate::fetch::CORPORA.map(|corpus| corpus.name).join(", "))]
    UnknownCorpus {
        /// The name given.
        name: String,
    },
    /// A server does not have a file, or does not give it to us.
    #[error("{url}: {reason}")]
    NotThere {
        /// The address.
        url: String,
        /// What the server said.
        reason: String,
    },
    /// A download that failed for good.
    #[error("{url}: {reason}\nhint: run the same command again; it continues where it stopped")]
    Download {
        /// The address.
        url: String,
        /// What went wrong last.
        reason: String,
    },
    /// Work that ended because something else went wrong.
    #[error("cancelled")]
    Cancelled,
    /// A pattern for file names that is not one.
    #[error("\"{pattern}\": not a pattern: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is nothing to read.
    #[error("{}: {reason}", path.display())]
    NoText {
        /// The file or folder.
        path: PathBuf,
        /// Why there is no text in it.
        reason: String,
    },
    /// A corpus has fewer tokens than one training window.
    #[error("the {split} split has {tokens} tokens, but a window of context_length = {context_length} needs {needed}\nhint: use more text or a smaller model.context_length{more}", needed = context_length + 1, more = if *split == "validation" { ", or a larger data.valid_fraction" } else { "" })]
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
        "unknown tokenizer \"{name}\"\nhint: use {}, or a directory with a tokenizer.json",
        crate::TOKENIZERS.join(", ")
    )]
    UnknownTokenizer {
        /// The name given.
        name: String,
    },
    /// Tokens that belong to another tokenizer.
    #[error("{}: made with the tokenizer {theirs}, but this one is {ours}\nhint: prepare the corpus again with `kiln data prepare --tokenizer`, or use the tokenizer that made it", path.display())]
    OtherTokenizer {
        /// The shard.
        path: PathBuf,
        /// The tokenizer that made it.
        theirs: String,
        /// The tokenizer that is to read it.
        ours: String,
    },
    /// Tokens that are not those that a run began with.
    #[error("{}: changed since the run began: {reason}\nhint: put back what was there, or begin a new run", path.display())]
    OtherTokens {
        /// The file.
        path: PathBuf,
        /// What is different.
        reason: String,
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
    /// The class of this error in the standard library's terms: `InvalidInput` for a request that cannot be met,
    /// `InvalidData` for a file's contents, the system's own
    /// for a file that could not be read or written, `Other` for what failed on the way.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::Document { source, .. } => source.kind(),
            Self::NotThere { .. } => ErrorKind::NotFound,
            Self::Busy { .. } => ErrorKind::ResourceBusy,
            Self::Download { .. } | Self::Cancelled => ErrorKind::Other,
            Self::NotUtf8 { .. } | Self::Record { .. } | Self::Format { .. } => ErrorKind::InvalidData,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Pairs an I/O error with the path it happened at.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// A file that is not here, and is not to be fetched.
    pub(crate) fn offline(url: &str) -> Self {
        let reason = "not here yet\nhint: fetch it once without --offline".to_owned();
        Self::NotThere { url: url.to_owned(), reason }
    }

    /// A corpus without a single document.
    pub(crate) fn empty(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let reason = if path.is_dir() { "every file in this folder is empty" } else { "the file is empty" };
        Self::NoText { path, reason: reason.to_owned() }
    }

    /// A file whose contents are wrong.
    pub(crate) fn format(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.into(), reason: reason.into() }
    }
}
