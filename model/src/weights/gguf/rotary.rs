//! What writing and reading say of rotary positions: the tensor of divisors, and the order of rows that rotate together.
//!
//! At Hugging Face the two rows of a pair are half a head apart. Some files of llama.cpp hold them as neighbours.

/// The tensor that divides each frequency: Llama 3's way to a longer context.
pub(super) const FREQUENCIES: &str = "rope_freqs.weight";

/// Keys of scaled frequencies, without the name of the architecture. llama.cpp does not know the last two, whose values its
/// tensor of divisors makes up for.
pub(super) const SCALING: &str = "rope.scaling.type";
pub(super) const FACTOR: &str = "rope.scaling.factor";
pub(super) const ORIGINAL_CONTEXT: &str = "rope.scaling.original_context_length";
pub(super) const LOW_FREQ_FACTOR: &str = "rope.scaling.low_freq_factor";
pub(super) const HIGH_FREQ_FACTOR: &str = "rope.scaling.high_freq_factor";

/// Rows of queries or keys whose pairs are neighbours, in the order of Hugging Face: first the first of each pair, then
/// the second. `values` are whole rows of all heads.
pub(in crate::weights) fn halves_of_pairs(values: &[f32], rows: usize, heads: usize) -> Vec<f32> {
    let (columns, pairs) = (values.len() / rows, rows / heads / 2);
    let mut halves = Vec::with_capacity(values.len());
    for head in values.chunks_exact(2 * pairs * columns) {
        for half in 0..2 {
            let rows = head.chunks_exact(columns).skip(half).step_by(2);
            rows.for_each(|row| halves.extend_from_slice(row));
        }
    }
    halves
}

/// The way back from [`halves_of_pairs`].
pub(super) fn pairs_of_halves(values: &[f32], rows: usize, heads: usize) -> Vec<f32> {
    let (columns, pairs) = (values.len() / rows, rows / heads / 2);
    let mut neighbours = Vec::with_capacity(values.len());
    for head in values.chunks_exact(2 * pairs * columns) {
        let (first, second) = head.split_at(pairs * columns);
        for (first, second) in first.chunks_exact(columns).zip(second.chunks_exact(columns)) {
            neighbours.extend_from_slice(first);
            neighbours.extend_from_slice(second);
        }
    }
    neighbours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_halves_head_by_head_and_back() {
        // Two heads of four rows, each row its number twice.
        let rows: Vec<f32> = (0..8).flat_map(|row| [row as f32; 2]).collect();
        let halves = halves_of_pairs(&rows, 8, 2);
        let order: Vec<f32> = halves.iter().copied().step_by(2).collect();
        assert_eq!(order, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert_eq!(pairs_of_halves(&halves, 8, 2), rows);
    }
}
