//! When each feature is active: what the rest of this folder is computed from.

use burn::tensor::Tensor;
use kiln_datasets::Batch;
use kiln_model::{Backend, GptModel, SparseAutoencoder, token_tensor};

use crate::tokens::to_vec;

/// Windows of tokens, and where in them each feature is active.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// All windows, one behind the other.
    pub tokens: Vec<u32>,
    /// Tokens in each.
    pub seq: usize,
    /// Which positions count.
    pub counted: Vec<bool>,
    /// The positions at which each feature is active, in order, and how much.
    pub active: Vec<Vec<(u32, f32)>>,
}

impl Readings {
    /// Reads these windows, all as long as the first. The first position of each, the token `separator`, and positions without a
    /// target do not count.
    pub fn of<B: Backend>(
        model: &GptModel<B>,
        sae: &SparseAutoencoder<B>,
        separator: Option<u32>,
        batches: impl Iterator<Item = Batch>,
    ) -> Self {
        let d_sae = sae.config().d_sae;
        let mut readings = Self { active: vec![Vec::new(); d_sae], ..Self::default() };
        for batch in batches {
            readings.seq = batch.seq;
            let first = readings.tokens.len();
            let counts = counted(&batch, separator);
            let shape = [batch.windows, batch.seq];
            let tokens = token_tensor(batch.inputs.clone(), shape, &model.device());
            let stream = model.value_at(tokens, sae.config().hook);
            let input: Tensor<B, 2> = stream.reshape([batch.windows * batch.seq, sae.config().d_in]);
            let features = to_vec(sae.encode(input));
            for ((place, row), _) in
                features.chunks_exact(d_sae).enumerate().zip(&counts).filter(|(_, counts)| **counts)
            {
                for (feature, value) in row.iter().enumerate().filter(|(_, value)| **value > 0.0) {
                    readings.active[feature].push(((first + place) as u32, *value));
                }
            }
            readings.tokens.extend(batch.inputs.iter().map(|token| *token as u32));
            readings.counted.extend(counts);
        }
        readings
    }

    /// Positions that count.
    pub fn len(&self) -> usize {
        self.counted.iter().filter(|counted| **counted).count()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        !self.counted.contains(&true)
    }

    /// The window of a position: its first position, and its end.
    pub(super) fn window(&self, place: usize) -> (usize, usize) {
        let start = place - place % self.seq.max(1);
        (start, (start + self.seq).min(self.tokens.len()))
    }
}

/// Which positions of a batch count.
pub(super) fn counted(batch: &Batch, separator: Option<u32>) -> Vec<bool> {
    let separator = separator.map(|token| token as i32);
    let counts = |place: usize| {
        !place.is_multiple_of(batch.seq)
            && Some(batch.inputs[place]) != separator
            && batch.targets[place] >= 0
    };
    (0..batch.inputs.len()).map(counts).collect()
}
