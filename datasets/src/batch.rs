//! What one forward pass reads: windows of tokens and, for each position, the token that follows.

use crate::TokenShard;

/// Target of a position that is not learned: it counts neither in the loss nor in its mean. Any negative
/// target is ignored; this is the usual one, as in PyTorch's `cross_entropy`.
pub const IGNORED: i32 = -100;

/// `windows` windows of `seq` tokens with their targets, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// `[windows, seq]`
    pub inputs: Vec<i32>,
    /// `[windows, seq]`: `inputs` one position later, or negative ([`IGNORED`]) where nothing is to be
    /// predicted.
    pub targets: Vec<i32>,
    /// Number of windows.
    pub windows: usize,
    /// Tokens in each.
    pub seq: usize,
}

impl Batch {
    /// Cuts the windows that start at `offsets`.
    ///
    /// # Panics
    ///
    /// If a window and its last target reach beyond the shard.
    pub fn cut(shard: &TokenShard, offsets: &[usize], seq: usize) -> Self {
        let mut inputs = Vec::with_capacity(offsets.len() * seq);
        let mut targets = Vec::with_capacity(offsets.len() * seq);
        for &offset in offsets {
            shard.runs(offset..offset + seq).for_each(|run| inputs.extend(run));
            shard.runs(offset + 1..offset + seq + 1).for_each(|run| targets.extend(run));
        }
        Self { inputs, targets, windows: offsets.len(), seq }
    }

    /// The windows in parts of at most `most` each, in order.
    ///
    /// # Panics
    ///
    /// If `most` is 0.
    pub fn split(self, most: usize) -> Vec<Self> {
        if self.windows <= most {
            return vec![self];
        }
        let parts = self.inputs.chunks(most * self.seq).zip(self.targets.chunks(most * self.seq));
        let part = |(inputs, targets): (&[i32], &[i32])| Self {
            windows: inputs.len() / self.seq,
            inputs: inputs.to_vec(),
            targets: targets.to_vec(),
            seq: self.seq,
        };
        parts.map(part).collect()
    }

    /// Tokens that the model reads.
    pub fn num_tokens(&self) -> usize {
        self.windows * self.seq
    }

    /// Tokens that it predicts: targets that are not ignored.
    pub fn num_targets(&self) -> usize {
        self.targets.iter().filter(|target| **target >= 0).count()
    }
}

/// Consecutive windows that cover a shard once, in order: what evaluation reads.
///
/// Every token but the first is predicted exactly once; the last window may be shorter and comes alone.
#[derive(Debug)]
pub struct Windows<'a> {
    shard: &'a TokenShard,
    batch_size: usize,
    seq: usize,
    position: usize,
}

impl<'a> Windows<'a> {
    /// Windows of `seq` tokens, `batch_size` at a time.
    pub fn new(shard: &'a TokenShard, batch_size: usize, seq: usize) -> Self {
        Self { shard, batch_size, seq, position: 0 }
    }

    /// Number of batches in all.
    pub fn num_batches(&self) -> usize {
        let targets = self.shard.len().saturating_sub(1);
        (targets / self.seq).div_ceil(self.batch_size) + usize::from(!targets.is_multiple_of(self.seq))
    }
}

impl Iterator for Windows<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let targets = self.shard.len().saturating_sub(1) - self.position;
        let (windows, seq) = match (targets / self.seq).min(self.batch_size) {
            0 if targets == 0 => return None,
            0 => (1, targets),
            windows => (windows, self.seq),
        };
        let offsets: Vec<usize> = (0..windows).map(|window| self.position + window * seq).collect();
        self.position += windows * seq;
        Some(Batch::cut(self.shard, &offsets, seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_the_whole_and_ignored_targets_do_not_count() {
        let targets = vec![1, IGNORED, 3, -1, IGNORED, IGNORED];
        let batch = Batch { inputs: (0..6).collect(), targets, windows: 3, seq: 2 };
        assert_eq!((batch.num_tokens(), batch.num_targets()), (6, 2));
        let parts = batch.split(2);
        let counts: Vec<_> =
            parts.iter().map(|part| (part.windows, part.num_tokens(), part.num_targets())).collect();
        assert_eq!(counts, [(2, 4, 2), (1, 2, 0)]);
        assert_eq!(parts[1].inputs, [4, 5]);
    }

    #[test]
    fn windows_predict_every_token_but_the_first_exactly_once() {
        for (len, batch, seq) in [(24, 2, 4), (25, 3, 4), (26, 2, 5), (5, 4, 8), (2, 1, 1)] {
            let tokens: Vec<u32> = (0..len).collect();
            let shard = TokenShard::temporary(&tokens, 100).expect("a temporary file");
            let windows = Windows::new(&shard, batch, seq);
            let expected = windows.num_batches();
            let batches: Vec<Batch> = windows.collect();
            assert_eq!(batches.len(), expected);
            let targets: Vec<i32> = batches.iter().flat_map(|batch| batch.targets.clone()).collect();
            assert_eq!(targets, (1..len as i32).collect::<Vec<_>>());
            for batch in batches {
                assert!(batch.inputs.iter().zip(&batch.targets).all(|(input, target)| input + 1 == *target));
            }
        }
    }
}
