//! What one forward pass reads: windows of tokens and, for each position, the token that follows.

use crate::TokenShard;
use crate::sampler::last_end;

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

/// Windows that cover a shard, in order: what evaluation reads.
///
/// Every token but the first is predicted exactly once; the last window may be shorter and comes alone.
#[derive(Clone, Debug)]
pub struct Windows<'a> {
    shard: &'a TokenShard,
    batch_size: usize,
    seq: usize,
    end_of_text: Option<u32>,
    /// Where the next window starts.
    start: usize,
    /// The last token that is predicted, or the first of all.
    predicted: usize,
}

impl<'a> Windows<'a> {
    /// Windows of `seq` tokens, `batch_size` at a time, that do not overlap.
    pub fn new(shard: &'a TokenShard, batch_size: usize, seq: usize) -> Self {
        Self { shard, batch_size, seq, end_of_text: None, start: 0, predicted: 0 }
    }

    /// The same with windows that start at documents: the document that a window breaks off starts the next one, behind
    /// this token, which ends the one before. Each is in sight from its beginning as far as a window reaches; what was
    /// predicted already is ignored there.
    pub fn at_documents(self, end_of_text: u32) -> Self {
        Self { end_of_text: Some(end_of_text), ..self }
    }

    /// The shard that they cover.
    pub fn shard(&self) -> &'a TokenShard {
        self.shard
    }

    /// What is predicted from what, in words.
    pub fn protocol(&self) -> String {
        let windows = match self.end_of_text {
            None => format!("consecutive windows of {} that do not overlap", self.seq),
            Some(_) => format!("windows that start at documents, of {}", self.seq),
        };
        format!("every token but the first, in {windows}")
    }

    /// Number of batches in all.
    pub fn num_batches(&self) -> usize {
        let mut windows = Self { start: 0, predicted: 0, ..self.clone() };
        std::iter::from_fn(|| windows.next_windows()).count()
    }

    /// The windows of the next batch: of one length, so that a shorter last one comes alone.
    fn next_windows(&mut self) -> Option<Vec<Window>> {
        let seq = self.next_length()?;
        let mut windows = Vec::with_capacity(self.batch_size);
        while windows.len() < self.batch_size && self.next_length() == Some(seq) {
            windows.push(self.next_window(seq));
        }
        Some(windows)
    }

    /// Tokens of the next window, if there is one.
    fn next_length(&self) -> Option<usize> {
        let last = self.shard.len().saturating_sub(1);
        (self.predicted < last).then(|| self.seq.min(last - self.start))
    }

    fn next_window(&mut self, seq: usize) -> Window {
        let (start, predicted) = (self.start, self.predicted);
        self.predicted = start + seq;
        // A document that starts with the window and is longer goes on in the next one.
        let broken_off = last_end(self.shard, start + 1..self.predicted + 1, self.end_of_text);
        self.start = broken_off.unwrap_or(self.predicted);
        Window { start, known: predicted - start }
    }
}

/// A window of [`Windows`].
struct Window {
    start: usize,
    /// Targets at its front that are predicted already.
    known: usize,
}

impl Iterator for Windows<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let seq = self.next_length()?;
        let windows = self.next_windows()?;
        let offsets: Vec<usize> = windows.iter().map(|window| window.start).collect();
        let mut batch = Batch::cut(self.shard, &offsets, seq);
        for (window, targets) in windows.iter().zip(batch.targets.chunks_mut(seq)) {
            targets[..window.known].fill(IGNORED);
        }
        Some(batch)
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

    /// 0 ends a document; a window has four tokens.
    #[test]
    fn windows_at_documents_see_each_from_its_beginning() {
        let tokens = [1, 2, 0, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10, 11, 12];
        let shard = TokenShard::temporary(&tokens, 20).expect("a temporary file");
        let windows = Windows::new(&shard, 2, 4).at_documents(0);
        let expected = [
            (vec![1, 2, 0, 3, 0, 3, 4, 5], vec![2, 0, 3, 4, IGNORED, IGNORED, 5, 6]),
            (vec![6, 7, 8, 0, 0, 9, 0, 10], vec![7, 8, 0, 9, IGNORED, 0, 10, 11]),
            (vec![0, 10, 11], vec![IGNORED, IGNORED, 12]),
        ];
        assert_eq!(windows.num_batches(), 3);
        let batches: Vec<_> = windows.map(|batch| (batch.inputs, batch.targets)).collect();
        assert_eq!(batches, expected);
    }

    #[test]
    fn windows_at_documents_predict_every_token_but_the_first_exactly_once() {
        for seed in 0..200 {
            let random = |index| crate::mix(seed, index);
            let (len, ends) = (2 + random(0) % 60, 1 + random(1) % 9);
            let tokens: Vec<u32> = (0..len)
                .map(|index| if random(index + 2) % ends == 0 { 0 } else { index as u32 + 1 })
                .collect();
            let shard = TokenShard::temporary(&tokens, 100).expect("a temporary file");
            let (batch_size, seq) = (1 + random(97) as usize % 4, 1 + random(98) as usize % 12);
            let windows = Windows::new(&shard, batch_size, seq).at_documents(0);
            let expected = windows.num_batches();
            let batches: Vec<Batch> = windows.collect();
            assert_eq!(batches.len(), expected, "seed {seed}");
            let targets: Vec<u32> = batches
                .iter()
                .flat_map(|batch| &batch.targets)
                .filter(|target| **target >= 0)
                .map(|target| *target as u32)
                .collect();
            assert_eq!(targets, tokens[1..], "seed {seed}");
        }
    }
}
