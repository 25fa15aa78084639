//! Sums over plain vectors.

/// `√Σ x²`, summed in f64.
pub(crate) fn norm(vector: &[f32]) -> f32 {
    vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt() as f32
}
