//! The largest of many numbers, one for each token.

use serde::Serialize;

use super::pass::Names;

/// A token and a number that it has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenValue {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// The number.
    pub value: f32,
}

impl TokenValue {
    pub(super) fn new(id: usize, value: f32, names: Names) -> Self {
        Self { id: id as u32, text: names.text(id as u32), value }
    }
}

/// The places of the `count` largest numbers, the largest first; of equal ones, the first.
pub(super) fn largest(values: &[f32], count: usize) -> Vec<usize> {
    let count = count.min(values.len());
    if count == 0 {
        return Vec::new();
    }
    let mut places: Vec<usize> = (0..values.len()).collect();
    let order = |left: &usize, right: &usize| values[*right].total_cmp(&values[*left]).then(left.cmp(right));
    if count < places.len() {
        places.select_nth_unstable_by(count - 1, order);
        places.truncate(count);
    }
    places.sort_unstable_by(order);
    places
}

/// The tokens with the largest numbers, one number for each token of the vocabulary.
pub(super) fn top(values: &[f32], count: usize, names: Names) -> Vec<TokenValue> {
    largest(values, count).into_iter().map(|id| TokenValue::new(id, values[id], names)).collect()
}
