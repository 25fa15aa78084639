//! From text to the tokens of a byte-level BPE, piece by piece.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::cache::{Cache, key};
use super::join::joined;
use super::merge::Merges;
use super::split::{Splitting, chunks};

/// Bytes that one thread encodes at a time.
const CHUNK: usize = 1 << 18;

/// Splits, then looks every piece up whole, then among those met before; what is left is merged.
#[derive(Debug)]
pub(super) struct Encoder {
    splitting: Splitting,
    /// Pieces that are a token as they stand, those of at most 15 bytes as their [`key`].
    short: FxHashMap<u128, u32>,
    long: FxHashMap<Box<[u8]>, u32>,
    merges: Merges,
    /// One for each thread that encodes at the same time.
    caches: Mutex<Vec<Cache>>,
}

impl Encoder {
    /// `whole` are the tokens that a piece becomes without a look at the merges.
    pub(super) fn new(splitting: Splitting, merges: Merges, whole: &[(&[u8], u32)]) -> Self {
        let mut short = FxHashMap::with_capacity_and_hasher(whole.len(), Default::default());
        let mut long = FxHashMap::default();
        for &(bytes, token) in whole {
            match key(bytes, 0, bytes.len()) {
                Some(key) => short.insert(key, token),
                None => long.insert(bytes.into(), token),
            };
        }
        Self { splitting, short, long, merges, caches: Mutex::default() }
    }

    pub(super) fn splitting(&self) -> Splitting {
        self.splitting
    }

    /// Whether every byte has a token.
    pub(super) fn is_complete(&self) -> bool {
        self.merges.is_complete()
    }

    /// The tokens of `text`, on all threads of the current pool if it is long.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        if text.len() < 2 * CHUNK || rayon::current_num_threads() == 1 {
            return self.encode_chunk(text);
        }
        // Every token has a byte at least.
        joined(&chunks(text, CHUNK), text.len(), |chunk, tokens| self.append(chunk, tokens))
    }

    /// The tokens of `text`, on the calling thread alone.
    pub(super) fn encode_chunk(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
        self.append(text, &mut tokens);
        tokens
    }

    fn append(&self, text: &str, tokens: &mut Vec<u32>) {
        let caches = || self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cache = caches().pop().unwrap_or_default();
        self.splitting.for_each_piece(text, |start, end| match key(text.as_bytes(), start, end) {
            Some(key) => match cache.get(key) {
                Some(known) => known.append_to(tokens),
                None => {
                    let before = tokens.len();
                    match self.short.get(&key) {
                        Some(token) => tokens.push(*token),
                        None => self.merges.encode(&text.as_bytes()[start..end], tokens),
                    }
                    cache.insert(key, &tokens[before..]);
                }
            },
            None => self.encode_piece(&text.as_bytes()[start..end], tokens),
        });
        caches().push(cache);
    }

    /// Where the last piece of `text` starts.
    pub(super) fn start_of_last_piece(&self, text: &str) -> usize {
        let mut last = 0;
        self.splitting.for_each_piece(text, |start, _| last = start);
        last
    }

    /// Appends the tokens of a piece of any length, which need not be UTF-8.
    pub(super) fn encode_piece(&self, piece: &[u8], tokens: &mut Vec<u32>) {
        let whole = match key(piece, 0, piece.len()) {
            Some(key) => self.short.get(&key),
            None => self.long.get(piece),
        };
        match whole {
            Some(token) => tokens.push(*token),
            None => self.merges.encode(piece, tokens),
        }
    }
}
