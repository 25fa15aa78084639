//! Vectors of a model as a batch.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::super::MicroBatch;

/// Vectors of one width, one behind the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    /// `[n, width]`
    pub values: Vec<f32>,
    /// Width of each.
    pub width: usize,
}

impl Vectors {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One after the other.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }

    /// Their mean, `[width]`.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        mean.iter_mut().for_each(|sum| *sum /= self.len().max(1) as f64);
        mean
    }

    /// The mean of their lengths.
    pub fn mean_norm(&self) -> f64 {
        let norm = |row: &[f32]| row.iter().map(|value| f64::from(value * value)).sum::<f64>().sqrt();
        self.rows().map(norm).sum::<f64>() / self.len().max(1) as f64
    }

    /// The sum of their squared distances from their mean.
    pub fn scatter(&self) -> f64 {
        let mean = self.mean();
        let distance = |row: &[f32]| {
            row.iter().zip(&mean).map(|(value, mean)| (f64::from(*value) - mean).powi(2)).sum::<f64>()
        };
        self.rows().map(distance).sum()
    }
}

impl MicroBatch for Vectors {
    fn num_tokens(&self) -> usize {
        self.len()
    }

    fn num_targets(&self) -> usize {
        self.len()
    }

    fn split(self, most: usize) -> Vec<Self> {
        if self.len() <= most {
            return vec![self];
        }
        let width = self.width;
        self.values.chunks(most * width).map(|part| Self { values: part.to_vec(), width }).collect()
    }
}

/// The numbers of a tensor, row by row.
pub(super) fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("just converted")
}
