//! Which examples are learned, which watched, and which kept to the end.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::sampler::mix;

/// How examples are divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Split {
    /// In their order: the first 85 % are for training, the next 10 % for the test, the rest for validation.
    InOrder,
    /// By content: of the texts that are alike only the first stays; the first eight hexadecimal digits of the SHA-256 of
    /// its group, modulo 10, decide: 0–6 is training, 7 validation, 8–9 test. An example never moves when others come or
    /// go.
    Hashed,
    /// This share of the groups is drawn for validation, and there is no test.
    Fraction {
        /// Between 0 and 1.
        valid: f64,
        /// Decides which examples are drawn.
        seed: u64,
    },
}

/// Examples of each purpose, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitExamples<T> {
    /// To learn from.
    pub train: Vec<T>,
    /// To watch while learning.
    pub valid: Vec<T>,
    /// To judge by at the end.
    pub test: Vec<T>,
    /// Examples that were left out because an earlier one is the same.
    pub repeated: usize,
}

impl Split {
    /// Divides `examples`. `group` is what two of them have in common if one says too much about the other to be kept apart
    /// from it, such as a question with two answers; `text` is what they have in common if they are the same.
    pub fn divide<T>(
        self,
        examples: Vec<T>,
        group: impl Fn(&T) -> String,
        text: impl Fn(&T) -> String,
    ) -> SplitExamples<T> {
        let mut divided =
            SplitExamples { train: Vec::new(), valid: Vec::new(), test: Vec::new(), repeated: 0 };
        let count = examples.len();
        let drawn = match self {
            Self::Fraction { valid, seed } => drawn(examples.iter().map(&group), valid, seed),
            _ => HashSet::new(),
        };
        let (train, test) = (count * 85 / 100, count * 10 / 100);
        let mut seen = HashSet::new();
        for (index, example) in examples.into_iter().enumerate() {
            let purpose = match self {
                Self::InOrder if index < train => &mut divided.train,
                Self::InOrder if index < train + test => &mut divided.test,
                Self::InOrder => &mut divided.valid,
                Self::Fraction { .. } if drawn.contains(&group(&example)) => &mut divided.valid,
                Self::Fraction { .. } => &mut divided.train,
                Self::Hashed => {
                    if !seen.insert(text(&example)) {
                        divided.repeated += 1;
                        continue;
                    }
                    let digest: [u8; 32] = Sha256::digest(group(&example)).into();
                    match u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % 10 {
                        0..=6 => &mut divided.train,
                        7 => &mut divided.valid,
                        _ => &mut divided.test,
                    }
                }
            };
            purpose.push(example);
        }
        divided
    }
}

/// The groups that a share of them is drawn to.
fn drawn(groups: impl Iterator<Item = String>, share: f64, seed: u64) -> HashSet<String> {
    let mut seen = HashSet::new();
    let mut order: Vec<(usize, String)> =
        groups.filter(|group| seen.insert(group.clone())).enumerate().collect();
    order.sort_unstable_by_key(|(index, _)| mix(seed, *index as u64));
    let count = (order.len() as f64 * share) as usize;
    order.into_iter().take(count).map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(split: Split, count: usize) -> SplitExamples<usize> {
        split.divide((0..count).collect(), usize::to_string, usize::to_string)
    }

    #[test]
    fn in_order_the_test_follows_the_training_and_validation_is_the_rest() {
        let parts = divided(Split::InOrder, 1100);
        assert_eq!((parts.train.len(), parts.test.len(), parts.valid.len()), (935, 110, 55));
        assert_eq!((parts.train[0], parts.test[0], parts.valid[0]), (0, 935, 1045));
    }

    /// The first 32 bits of the SHA-256 are 754,077,114 for "hello", 1,215,210,594 for "world", 3,820,012,610 for "" and
    /// 3,128,432,319 for "abc".
    #[test]
    fn hashed_the_text_decides_and_repeated_ones_are_dropped() {
        let texts = ["hello", "world", "hello", "", "abc"].map(str::to_owned).to_vec();
        let parts = Split::Hashed.divide(texts, String::clone, String::clone);
        assert_eq!(
            (parts.train, parts.repeated),
            (vec!["hello".to_owned(), "world".into(), String::new()], 1)
        );
        assert_eq!((parts.valid.len(), parts.test), (0, vec!["abc".to_owned()]));
        let parts = divided(Split::Hashed, 10_000);
        assert!((6800..7200).contains(&parts.train.len()) && (850..1150).contains(&parts.valid.len()));
    }

    #[test]
    fn a_share_is_drawn_by_the_seed() {
        let share = |seed| divided(Split::Fraction { valid: 0.1, seed }, 100);
        let parts = share(1);
        assert_eq!((parts.train.len(), parts.valid.len(), parts.test.len()), (90, 10, 0));
        assert!(parts.valid.is_sorted() && parts.valid != share(2).valid);
        assert_eq!(parts, share(1));
    }

    #[test]
    fn a_group_stays_together() {
        let group = |example: &usize| (example / 4).to_string();
        for split in [Split::Hashed, Split::Fraction { valid: 0.3, seed: 1 }] {
            let parts = split.divide((0..400).collect(), group, usize::to_string);
            let groups = |part: &[usize]| part.iter().map(group).collect::<HashSet<_>>();
            let (train, valid, test) = (groups(&parts.train), groups(&parts.valid), groups(&parts.test));
            assert!(!valid.is_empty() && train.is_disjoint(&valid) && train.is_disjoint(&test), "{split:?}");
            assert!(valid.is_disjoint(&test), "{split:?}");
            assert_eq!((parts.train.len() + parts.valid.len() + parts.test.len(), parts.repeated), (400, 0));
        }
    }
}
