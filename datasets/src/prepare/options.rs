//! How a corpus is prepared, and how far that has come.

/// How a corpus is prepared. More options may come: set the ones you want and take the others from
/// `default()`.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// Share of the documents that is kept for validation; 0 keeps none. A corpus of a single text file is
    /// cut instead: its first `1 - valid_fraction` characters are for training, as nanoGPT does it.
    pub valid_fraction: f64,
    /// Decides the split of a document, together with its content.
    pub seed: u64,
    /// Drops documents that have been there before, byte for byte.
    pub dedup: bool,
    /// Replaces bytes that are not UTF-8 by `U+FFFD` instead of refusing them.
    pub lossy: bool,
    /// Counts bad documents and goes on, instead of refusing them.
    pub skip_bad: bool,
    /// Threads that encode.
    pub threads: usize,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            valid_fraction: 0.1,
            seed: 1337,
            dedup: false,
            lossy: false,
            skip_bad: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// How far preparing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrepareProgress {
    /// Bytes taken from disk, those of an earlier attempt included.
    pub bytes_read: u64,
    /// Bytes there are on disk.
    pub bytes_total: u64,
    /// Bytes of text that were encoded.
    pub text_bytes: u64,
    /// Tokens that were written, those of an earlier attempt included.
    pub tokens: u64,
    /// Bytes that an earlier attempt had read.
    pub bytes_resumed: u64,
}
