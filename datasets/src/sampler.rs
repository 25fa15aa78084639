//! Which windows a training step reads: a pure function of seed and step, so any step can be replayed and a
//! resumed run draws the windows of one that never stopped.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Batch, TokenShard};

/// The order in which training windows are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Uniformly random starts, with replacement, as nanoGPT draws them.
    #[default]
    Random,
    /// Consecutive windows from the first token on, as llm.c reads them; starts over where the rest no longer
    /// fills a batch.
    Sequential,
    /// Windows that start at documents: of a uniformly random token, each takes the last end of a document within
    /// `context_length` tokens before it, and starts at that end or behind it, by chance; where there is none, at the
    /// token itself. What a document says at its beginning is in sight.
    Documents,
}

/// Draws the windows of each step.
#[derive(Clone, Debug)]
pub struct WindowSampler {
    /// How windows follow each other.
    pub order: Order,
    /// Chooses the random starts; without effect on sequential order.
    pub seed: u64,
    /// Windows in a batch.
    pub batch_size: usize,
    /// Tokens in a window.
    pub context_length: usize,
    /// The token that ends a document; without it, the shard is one document.
    pub end_of_text: Option<u32>,
}

impl WindowSampler {
    /// Batch number `index` of the run, counted from zero: micro-batch `m` of step `s` with `n` micro-batches
    /// a step is number `s * n + m`.
    ///
    /// # Panics
    ///
    /// If the shard has no room for a single window and its target.
    pub fn batch(&self, shard: &TokenShard, index: u64) -> Batch {
        let starts = shard.len().checked_sub(self.context_length).filter(|starts| *starts > 0);
        let starts = starts.expect("the shard holds at least one window and its target") as u64;
        let first = index.wrapping_mul(self.batch_size as u64);
        let offsets: Vec<usize> = (first..first + self.batch_size as u64)
            .map(|window| match self.order {
                // 64 random bits against at most 2^40 starts: the bias of the remainder is below 2^-24.
                Order::Random => (mix(self.seed, window) % starts) as usize,
                Order::Documents => {
                    let random = mix(self.seed, window);
                    let place = (random % starts) as usize;
                    match self.end_before(shard, place) {
                        // Prompts come with an end of text before them or without: windows do so, too, half of them each.
                        Some(end) => (end + (random >> 63) as usize).min(starts as usize - 1),
                        None if place < self.context_length => 0,
                        None => place,
                    }
                }
                Order::Sequential => {
                    let windows = (starts - 1) / self.context_length as u64 + 1;
                    let whole_batches = windows - windows % self.batch_size as u64;
                    // A shard too small for one batch repeats its windows within it.
                    let cycle = if whole_batches == 0 { windows } else { whole_batches };
                    (window % cycle) as usize * self.context_length
                }
            })
            .collect();
        Batch::cut(shard, &offsets, self.context_length)
    }

    /// Where the end of the document before that of token `place` lies, if that is less than a window away.
    fn end_before(&self, shard: &TokenShard, place: usize) -> Option<usize> {
        last_end(shard, (place + 1).saturating_sub(self.context_length)..place + 1, self.end_of_text)
    }
}

/// Where the last end of a document lies in this range of tokens.
pub(crate) fn last_end(shard: &TokenShard, range: Range<usize>, end_of_text: Option<u32>) -> Option<usize> {
    let end_of_text = end_of_text? as i32;
    let ends = range.clone().zip(shard.tokens(range)).filter(|(_, token)| *token == end_of_text);
    ends.last().map(|(place, _)| place)
}

/// A well-mixed 64-bit function of two numbers (two rounds of SplitMix64's finaliser,
/// <https://doi.org/10.1145/2660193.2660195>).
pub fn mix(seed: u64, counter: u64) -> u64 {
    fn finalise(mut z: u64) -> u64 {
        z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    finalise(finalise(seed) ^ counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(len: u32) -> TokenShard {
        TokenShard::temporary(&(0..len).collect::<Vec<_>>(), len as usize).expect("a temporary file")
    }

    #[test]
    fn sequential_windows_follow_each_other_and_start_over() {
        let sampler = WindowSampler {
            order: Order::Sequential,
            seed: 9,
            batch_size: 2,
            context_length: 4,
            end_of_text: None,
        };
        let shard = shard(22); // five windows of four, and a target for the last: two batches
        assert_eq!(sampler.batch(&shard, 0).inputs, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(sampler.batch(&shard, 1).targets, [9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(sampler.batch(&shard, 2), sampler.batch(&shard, 0));
    }

    #[test]
    fn random_windows_depend_on_seed_and_step_alone_and_reach_every_start() {
        let sampler = WindowSampler {
            order: Order::Random,
            seed: 1,
            batch_size: 8,
            context_length: 4,
            end_of_text: None,
        };
        let shard = shard(14);
        assert_eq!(sampler.batch(&shard, 5), sampler.clone().batch(&shard, 5));
        assert_ne!(sampler.batch(&shard, 5), sampler.batch(&shard, 6));
        assert_ne!(sampler.batch(&shard, 5), WindowSampler { seed: 2, ..sampler.clone() }.batch(&shard, 5));
        let mut counts = [0; 10];
        for index in 0..1000 {
            for window in sampler.batch(&shard, index).inputs.chunks(4) {
                counts[window[0] as usize] += 1;
            }
        }
        // 8,000 draws over ten starts: 800 each, with a standard deviation of 27.
        assert!(counts.iter().all(|count| (660..940).contains(count)), "{counts:?}");
    }

    /// 0 ends a document.
    #[test]
    fn windows_of_documents_start_where_these_do() {
        let tokens = [1, 2, 0, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10, 11, 12, 13];
        let shard = TokenShard::temporary(&tokens, 20).expect("a temporary file");
        let sampler = WindowSampler {
            order: Order::Documents,
            seed: 3,
            batch_size: 8,
            context_length: 4,
            end_of_text: Some(0),
        };
        let mut seen = std::collections::BTreeMap::new();
        for index in 0..1500 {
            for window in sampler.batch(&shard, index).inputs.chunks(4) {
                *seen.entry(window[1]).or_insert(0) += 1;
            }
        }
        // 12,000 draws over twelve tokens. Of the long document, the last three are too far from its start.
        let expected: [(i32, i32); 8] =
            [(2, 2000), (3, 2000), (4, 2000), (7, 1000), (8, 1000), (0, 2000), (9, 1000), (10, 1000)];
        assert_eq!(seen.len(), expected.len(), "{seen:?}");
        for (second, count) in expected {
            assert!((seen[&second] - count).abs() < 250, "{seen:?}");
        }
        let whole = WindowSampler { end_of_text: None, ..sampler };
        assert!((0..12).all(|place| whole.end_before(&shard, place).is_none()));
    }
}
