//! Vectors out of a model that reads texts.

use kiln_datasets::Batch;
use kiln_model::{Backend, GptModel, Site, token_tensor};

use super::vectors::{Vectors, numbers};

/// Which texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// Those that are learned from.
    Training,
    /// Others, to evaluate on.
    HeldOut,
}

/// Windows of tokens by number: the same number, the same windows. Positions without a target do not count.
pub type Texts = Box<dyn Fn(Portion, u64) -> Batch + Send + Sync>;

/// Texts of a slice at most.
const TEXTS: u64 = 1 << 20;

/// Reads the vectors at one place of a model.
pub struct Harvest<B: Backend> {
    /// The model.
    pub gpt: GptModel<B>,
    /// The place, [on the stream](Site::is_on_stream).
    pub site: Site,
    /// What the model reads.
    pub texts: Texts,
    /// The token between two texts: its vectors are left out, as are those of the first position of each window. They are much
    /// longer than any other, and the same everywhere.
    pub separator: Option<u32>,
}

impl<B: Backend> Harvest<B> {
    /// `len` vectors, in the order of the texts. Slices of different numbers are of different texts.
    pub fn slice(&self, portion: Portion, number: u64, len: usize) -> Vectors {
        let width = self.gpt.config().d_model;
        let mut values = Vec::with_capacity(len * width);
        let first = number * TEXTS;
        for number in first..first + TEXTS {
            self.read(&(self.texts)(portion, number), &mut values);
            if values.len() >= len * width {
                break;
            }
        }
        values.truncate(len * width);
        Vectors { values, width }
    }

    /// Appends the vectors of a batch that count.
    fn read(&self, batch: &Batch, values: &mut Vec<f32>) {
        let shape = [batch.windows, batch.seq];
        let tokens = token_tensor(batch.inputs.clone(), shape, &self.gpt.device());
        let stream = self.gpt.value_at(tokens, self.site); // [windows, seq, d_model]
        let width = stream.dims()[2];
        let read = numbers(stream);
        let separator = self.separator.map(|token| token as i32);
        for (place, vector) in read.chunks_exact(width).enumerate() {
            let is_first = place.is_multiple_of(batch.seq);
            let is_separator = Some(batch.inputs[place]) == separator;
            if !is_first && !is_separator && batch.targets[place] >= 0 {
                values.extend_from_slice(vector);
            }
        }
    }
}
