//! What can go wrong outside our control.

use std::path::PathBuf;

use crate::wording::{listed, of_bytes};
use crate::{Absence, Binary, Location};

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
    #[error("{}:{line}: byte {offset} of the file is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// One-based line number.
        line: u64,
        /// Bytes before it, after unpacking.
        offset: u64,
    },
    /// A text file in another encoding than UTF-8.
    #[error("{}: the text is UTF-16, not UTF-8", path.display())]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// A file that holds no text, by the bytes that it begins with.
    #[error("{}: {found}, not text", path.display())]
    Binary {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: Binary,
    },
    /// A JSON string with half of a character: well-formed JSON, but no text.
    #[error("{}{location}: half of a character, a lone surrogate, at column {column}", path.display())]
    LoneSurrogate {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        location: Location,
        /// Where in the line: the end of the escape.
        column: usize,
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
    /// A record or a table without the field that holds the text.
    #[error("{}{location}: no field `{field}`; there is {}", path.display(), listed(names))]
    NoField {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        location: Location,
        /// The field that is asked for.
        field: String,
        /// The fields that are there.
        names: Vec<String>,
    },
    /// An example that cannot be learned from, or a file of them.
    #[error("{}{location}: {flaw}", path.display())]
    #[cfg(feature = "prepare")]
    Example {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        location: Location,
        /// What is wrong.
        flaw: crate::examples::Flaw,
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
    /// A Parquet file inside a compressed one, which cannot be read.
    #[error("{}: a compressed Parquet file cannot be read", path.display())]
    CompressedParquet {
        /// The file.
        path: PathBuf,
    },
    /// A folder that holds another prepared corpus.
    #[error("{}: holds a corpus that was prepared from other files or with other settings", path.display())]
    Prepared {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that another process works in.
    #[error("{}: another process is writing here", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A corpus that nobody knows.
    #[error("unknown corpus \"{name}\"")]
    UnknownCorpus {
        /// The name given.
        name: String,
    },
    /// A server does not have a file, or does not give it to us.
    #[error("{url}: {reason}")]
    NotThere {
        /// The address.
        url: String,
        /// Why there is nothing.
        reason: Absence,
    },
    /// No server answered.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong last.
        reason: String,
    },
    /// A name that no model of the hub can have.
    #[error(
        "\"{name}\" cannot be the name of a model: expected NAME or OWNER/NAME, and @REVISION if you like"
    )]
    UnknownModel {
        /// The name given.
        name: String,
    },
    /// A model of the hub without weights in a format that is read.
    #[error("{model}: it has {found}; Kiln reads model.safetensors, which is not there")]
    OtherWeights {
        /// The model.
        model: String,
        /// What is there.
        found: String,
    },
    /// A model of the hub whose weights are in files of llama.cpp, each a model of its own.
    #[error("{model}: its weights are in GGUF files, of which one is to be named: {}", files.join(", "))]
    GgufFiles {
        /// The model.
        model: String,
        /// The files.
        files: Vec<String>,
    },
    /// A model of the hub without the file of llama.cpp that was named.
    #[error("{model}: there is no GGUF file {file} in it, but {}", if files.is_empty() { "none".to_owned() } else { files.join(", ") })]
    NoGgufFile {
        /// The model.
        model: String,
        /// The file that was named.
        file: String,
        /// Those that are there.
        files: Vec<String>,
    },
    /// A folder that is to hold a model holds another one.
    #[error("{}: belongs to another model, or to another revision of it", path.display())]
    OtherModel {
        /// Its `config.json`.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("{}: {source}{}", path.display(), of_bytes(*size))]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Bytes that it has when it is whole.
        size: Option<u64>,
        /// What the system said.
        source: std::io::Error,
    },
    /// A download that failed for good.
    #[error("{url}: {reason}")]
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
    /// Something else than a file, a folder or a pipe.
    #[error("{}: a device or a socket, not a file or a pipe", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// There is nothing to read.
    #[error("{}: {reason}", path.display())]
    NoText {
        /// The file or folder.
        path: PathBuf,
        /// Why there is no text in it.
        reason: String,
    },
    /// A folder without a file that is text by its name.
    #[error("{}: no .txt, .md, .jsonl, .json, .csv, .tsv or .parquet file in this folder", path.display())]
    NoTextFile {
        /// The folder.
        path: PathBuf,
    },
    /// There is no Rust code in the user's cargo registry.
    #[error("{}: cargo has unpacked no crates here", path.display())]
    NoCrates {
        /// Where the registry would be.
        path: PathBuf,
    },
    /// A folder without token shards.
    #[error("{}: no token shards here", path.display())]
    NoShards {
        /// The folder.
        path: PathBuf,
    },
    /// A folder with token shards of one split only.
    #[error("{}: a .bin file with `{there}` in its name, but none with `{lacking}`", path.display())]
    OneSplit {
        /// The folder.
        path: PathBuf,
        /// The split that is there: `train` or `val`.
        there: &'static str,
        /// The split that is not.
        lacking: &'static str,
    },
    /// A shard of another version of its format.
    #[error("{}: shard version {found}, expected {expected}", path.display())]
    ShardVersion {
        /// The shard.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that can be read.
        expected: u32,
    },
    /// A piece of unfinished work that has changed since it was written.
    #[error("{}: damaged", path.display())]
    DamagedPart {
        /// The file.
        path: PathBuf,
    },
    /// A corpus has fewer tokens than one training window.
    #[error(
        "the {split} split has {tokens} tokens, but a window of context_length = {context_length} needs {}",
        context_length + 1
    )]
    TooShort {
        /// `training` or `validation`.
        split: &'static str,
        /// Tokens there are.
        tokens: usize,
        /// Tokens a window spans.
        context_length: usize,
    },
    /// A character that a character tokenizer has never seen.
    #[error("the tokenizer has no token for {character:?} (character {position} of the text)")]
    UnknownCharacter {
        /// The character.
        character: char,
        /// One-based position in the text.
        position: usize,
    },
    /// Bytes that are not text, for a tokenizer that needs text.
    #[error("byte {byte} is not UTF-8, which the tokenizer \"{tokenizer}\" needs")]
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
    #[error("vocab_size = {vocab_size}: must be at least {least}, for every byte and the end-of-text token")]
    VocabSize {
        /// Tokens asked for.
        vocab_size: usize,
        /// Fewest there can be.
        least: usize,
    },
    /// A tokenizer name that nothing answers to.
    #[error("unknown tokenizer \"{name}\"")]
    UnknownTokenizer {
        /// The name given.
        name: String,
    },
    /// Tokens that belong to another tokenizer.
    #[error("{}: made with the tokenizer {theirs}, but this one is {ours}", path.display())]
    OtherTokenizer {
        /// The shard.
        path: PathBuf,
        /// The tokenizer that made it.
        theirs: String,
        /// The tokenizer that is to read it.
        ours: String,
    },
    /// Tokens that are not those that a run started with.
    #[error("{}: changed since the run began: {reason}", path.display())]
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
