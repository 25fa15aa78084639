//! As many texts of each class.

use std::collections::{HashMap, HashSet};

use super::Labelled;
use crate::sampler::mix;

/// Draws as many texts of each label as the rarest has, and keeps their order.
pub fn balanced(examples: Vec<Labelled>, seed: u64) -> Vec<Labelled> {
    let mut classes: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, example) in examples.iter().enumerate() {
        classes.entry(&example.label).or_default().push(index);
    }
    let rarest = classes.values().map(Vec::len).min().unwrap_or(0);
    let kept: HashSet<usize> = classes
        .into_values()
        .flat_map(|mut indices| {
            indices.sort_unstable_by_key(|index| mix(seed, *index as u64));
            indices.truncate(rarest);
            indices
        })
        .collect();
    let numbered = examples.into_iter().enumerate();
    numbered.filter(|(index, _)| kept.contains(index)).map(|(_, example)| example).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::labelled;
    use super::*;

    #[test]
    fn every_class_has_as_many_texts_as_the_rarest() {
        let texts: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let pairs: Vec<(&str, &str)> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| (text.as_str(), if n % 9 == 0 { "spam" } else { "ham" }))
            .collect();
        let kept = balanced(labelled(&pairs), 123);
        let spam = kept.iter().filter(|example| example.label == "spam").count();
        assert_eq!((kept.len(), spam), (24, 12));
        let lines: Vec<usize> = kept.iter().map(|example| example.text.parse().expect("a number")).collect();
        assert!(lines.is_sorted());
        assert_ne!(kept, balanced(labelled(&pairs), 124));
    }
}
