//! Sequences of unequal length as a batch: one behind the other, without padding.

use burn::tensor::{Int, Tensor};
use kiln_model::{Backend, token_tensor};

use super::tuning::Example;

/// One sequence: what the model reads, and what it is to say at each place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Tokens.
    pub inputs: Vec<i32>,
    /// As many: the token that follows, or a negative number where nothing is learned.
    pub targets: Vec<i32>,
}

impl Segment {
    /// A text of these tokens, of which those count that `trained` says; the model reads all but the last.
    pub fn new(tokens: &[u32], trained: &[bool]) -> Self {
        let inputs = tokens.split_last().map_or(&[][..], |(_, inputs)| inputs);
        let follow = tokens.iter().zip(trained).skip(1);
        Self {
            inputs: inputs.iter().map(|token| *token as i32).collect(),
            targets: follow.map(|(token, trained)| if *trained { *token as i32 } else { IGNORED }).collect(),
        }
    }
}

/// Target of a place where nothing is learned.
const IGNORED: i32 = kiln_datasets::IGNORED;

/// The inputs of `segments` in one row, `[1, Σ lengths]`, and their lengths.
pub(super) fn row<'a, B: Backend>(
    segments: impl Iterator<Item = &'a [i32]>,
    device: &B::Device,
) -> (Tensor<B, 2, Int>, Vec<usize>) {
    let (mut ids, mut lengths) = (Vec::new(), Vec::new());
    for segment in segments {
        ids.extend_from_slice(segment);
        lengths.push(segment.len());
    }
    let total = ids.len();
    (token_tensor(ids, [1, total], device), lengths)
}

impl Example for Segment {
    fn num_tokens(&self) -> usize {
        self.inputs.len()
    }

    fn num_targets(&self) -> usize {
        self.targets.iter().filter(|target| **target >= 0).count()
    }
}
