//! How often each piece occurs in a text: all that learning a vocabulary needs to know of it.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::split::{Splitting, chunks};

/// Bytes that one thread splits at a time.
const CHUNK: usize = 1 << 20;

/// Bytes of texts that are gathered before all threads split them.
const GATHERED: usize = 16 << 20;

/// Counts the pieces of texts that come one after the other.
#[derive(Default)]
pub(super) struct PieceCounts {
    counts: FxHashMap<Box<str>, u64>,
    /// Texts that are not counted yet, and where each of them ends.
    gathered: String,
    ends: Vec<usize>,
}

impl PieceCounts {
    pub(super) fn add(&mut self, text: &str) {
        self.gathered.push_str(text);
        self.ends.push(self.gathered.len());
        if self.gathered.len() >= GATHERED {
            self.count();
        }
    }

    pub(super) fn finish(mut self) -> FxHashMap<Box<str>, u64> {
        self.count();
        self.counts
    }

    /// Counts what is gathered, on all threads.
    fn count(&mut self) {
        let mut start = 0;
        let texts = self.ends.drain(..).map(|end| &self.gathered[std::mem::replace(&mut start, end)..end]);
        let counts: Vec<FxHashMap<&str, u64>> =
            shares(texts.flat_map(|text| chunks(text, CHUNK))).into_par_iter().map(count).collect();
        for (piece, count) in counts.into_iter().flatten() {
            match self.counts.get_mut(piece) {
                Some(total) => *total += count,
                None => _ = self.counts.insert(piece.into(), count),
            }
        }
        self.gathered.clear();
    }
}

/// Short texts together, so that each share is worth a thread's while.
fn shares<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    let (mut shares, mut size) = (vec![Vec::new()], 0);
    for text in texts {
        if size >= CHUNK {
            shares.push(Vec::new());
            size = 0;
        }
        size += text.len();
        shares.last_mut().expect("there is one").push(text);
    }
    shares
}

fn count(texts: Vec<&str>) -> FxHashMap<&str, u64> {
    let mut counts = FxHashMap::default();
    for text in texts {
        Splitting::Gpt2.for_each_piece(text, |start, end| {
            *counts.entry(&text[start..end]).or_default() += 1;
        });
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_each_by_itself_however_they_are_gathered() {
        let text = "so it goes, so it goes\n".repeat(CHUNK / 10);
        let mut counts = PieceCounts::default();
        counts.add(&text);
        // Together these would be one piece.
        counts.add("wa");
        counts.add("ter");
        let counts = counts.finish();
        let of = |piece: &str| counts.get(piece).copied();
        assert_eq!((of(" it"), of("so"), of(" so")), (Some(209_714), Some(104_857), Some(104_857)));
        assert_eq!((of("wa"), of("ter"), of("water")), (Some(1), Some(1), None));
    }
}
