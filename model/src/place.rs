//! Where the tokens of a pass stand: at which positions, and in which sequences.

use burn::tensor::{Int, Tensor};

use crate::rotary::Angles;
use crate::{Backend, GptConfig, Positions, token_tensor};

/// Where the tokens `[batch, seq]` of a pass stand.
#[derive(Clone, Debug)]
pub struct Place<B: Backend> {
    /// Position of each token in its sequence, row by row; of one row where they are alike in all.
    positions: Vec<usize>,
    /// Tokens of a row.
    seq: usize,
    /// By how much their queries and keys turn, where positions are rotary.
    angles: Option<Angles<B>>,
    /// Lengths of the sequences that lie one behind the other in the only row; none where each row is one.
    segments: Option<Vec<usize>>,
}

impl<B: Backend> Place<B> {
    /// Each row is one sequence, and its tokens are `seq` positions from one of `starts` on: one for each row, or one for all.
    pub fn rows(config: &GptConfig, starts: &[usize], seq: usize, device: &B::Device) -> Self {
        let positions = starts.iter().flat_map(|start| *start..start + seq).collect();
        Self::new(config, positions, seq, None, device)
    }

    /// The only row holds several sequences one behind the other, each from position 0 on. None sees another.
    pub fn segments(config: &GptConfig, lengths: &[usize], device: &B::Device) -> Self {
        let positions: Vec<usize> = lengths.iter().flat_map(|length| 0..*length).collect();
        let seq = positions.len();
        Self::new(config, positions, seq, Some(lengths.to_vec()), device)
    }

    fn new(
        config: &GptConfig,
        positions: Vec<usize>,
        seq: usize,
        segments: Option<Vec<usize>>,
        device: &B::Device,
    ) -> Self {
        let angles = match &config.positions {
            Positions::Learned => None,
            Positions::Rotary(rotary) => {
                Some(Angles::new(rotary, config.head_dim(), &positions, seq, device))
            }
        };
        Self { positions, seq, angles, segments }
    }

    /// The positions, `[batch or 1, seq]`.
    pub(crate) fn position_ids(&self, device: &B::Device) -> Tensor<B, 2, Int> {
        let ids: Vec<i64> = self.positions.iter().map(|position| *position as i64).collect();
        let rows = ids.len() / self.seq.max(1);
        token_tensor(ids, [rows, self.seq], device)
    }

    pub(crate) fn angles(&self) -> Option<&Angles<B>> {
        self.angles.as_ref()
    }

    pub(crate) fn lengths(&self) -> Option<&[usize]> {
        self.segments.as_deref()
    }
}
