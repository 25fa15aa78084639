//! Numbers in rows and columns, and what attention does with them.

use serde::{Serialize, Serializer};

/// Numbers in rows and columns, `[rows, columns]`. Serialised as a list of rows, in which what is not finite is `null`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Rows of so many `columns`, one behind the other.
    ///
    /// # Panics
    ///
    /// If the last row is not whole.
    pub fn new(columns: usize, values: Vec<f32>) -> Self {
        assert!(values.len().is_multiple_of(columns.max(1)), "{} values in rows of {columns}", values.len());
        Self { columns, values }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many numbers a row has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// The rows, one after the other.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks(self.columns.max(1))
    }

    /// Each number changed on its own.
    pub fn map(&self, change: impl Fn(f32) -> f32) -> Self {
        Self { columns: self.columns, values: self.values.iter().map(|value| change(*value)).collect() }
    }

    /// `A Bᵀ`: the dot product of each row with each row of `other`, `[rows, columns] × [others, columns] → [rows, others]`.
    pub fn times_transposed(&self, other: &Self) -> Self {
        let values = self.rows().flat_map(|row| other.rows().map(move |column| dot(row, column)));
        Self::new(other.len(), values.collect())
    }

    /// `A B`: each row is a sum of the rows of `other`, weighted, `[rows, others] × [others, columns] → [rows, columns]`.
    pub fn times(&self, other: &Self) -> Self {
        let mut values = Vec::with_capacity(self.len() * other.columns);
        for row in self.rows() {
            let mut sum = vec![0.0; other.columns];
            for (weight, addend) in row.iter().zip(other.rows()) {
                for (sum, addend) in sum.iter_mut().zip(addend) {
                    *sum += weight * addend;
                }
            }
            values.extend(sum);
        }
        Self::new(other.columns, values)
    }

    /// The causal mask: `-∞` where the column comes after the row.
    pub fn masked(&self) -> Self {
        let mut masked = self.clone();
        for row in 0..masked.len() {
            masked.values[row * self.columns..][..self.columns]
                .iter_mut()
                .skip(row + 1)
                .for_each(|score| *score = f32::NEG_INFINITY);
        }
        masked
    }

    /// `e^x / Σ e^x` of each row.
    pub fn softmax(&self) -> Self {
        Self::new(self.columns, self.rows().flat_map(softmax).collect())
    }
}

impl Serialize for Matrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows())
    }
}

/// `e^x / Σ e^x`
pub(super) fn softmax(scores: &[f32]) -> Vec<f32> {
    // The same numbers for any shift; this one keeps `exp` from overflowing.
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|exponential| exponential / sum).collect()
}

pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// The length of a vector, `√(Σ x²)`.
pub(super) fn length(vector: &[f32]) -> f32 {
    dot(vector, vector).sqrt()
}

pub(super) fn mean(values: &[f32]) -> f32 {
    (values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64) as f32
}

/// `mean((x - mean(x))²)`: the biased variance.
pub(super) fn variance(values: &[f32]) -> f32 {
    let mean = mean(values);
    let squares: Vec<f32> = values.iter().map(|value| (value - mean).powi(2)).collect();
    self::mean(&squares)
}
