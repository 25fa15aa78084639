//! **repeats**: lines of random letters, each written twice. Nothing in them can be known but that the second half repeats the
//! first: what an induction head is for.

use crate::sampler::mix;
use crate::tales::Floor;

/// The letters of a line; no letter comes twice in a half.
const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Letters of a half: as many as any of these numbers, so that the distance alone does not tell where to look.
const HALF: std::ops::RangeInclusive<usize> = 8..=28;

/// Lines, and what they cost a model that cannot be better.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeats {
    /// The lines, each with its line break.
    pub lines: Vec<String>,
}

/// Makes lines until they have at least `min_bytes` bytes together. The same `seed` makes the same ones.
///
/// ```
/// let line = &kiln_datasets::repeats(1, 100).lines[0];
/// let (first, second) = line.trim_end().split_at(line.len() / 2);
/// assert_eq!(first, second);
/// ```
pub fn repeats(seed: u64, min_bytes: usize) -> Repeats {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while bytes < min_bytes {
        let line = line(mix(seed, lines.len() as u64));
        bytes += line.len();
        lines.push(line);
    }
    Repeats { lines }
}

fn line(seed: u64) -> String {
    let length = HALF.start() + (mix(seed, 0) % HALF.count() as u64) as usize;
    let mut letters = *LETTERS;
    for at in 0..length {
        let other = at + (mix(seed, 1 + at as u64) % (letters.len() - at) as u64) as usize;
        letters.swap(at, other);
    }
    let half: String = letters[..length].iter().map(|letter| char::from(*letter)).collect();
    format!("{half}{half}\n")
}

impl Repeats {
    /// The least loss that a model can expect on these lines: the letters of each first half are drawn without repetition, and
    /// each half is as likely to be as long as any other. Where it ends, the first letter comes again, or the line does.
    pub fn floor(&self, lines: std::ops::RangeFrom<usize>) -> Floor {
        let of_line = |line: &String| {
            let half = line.len() / 2;
            let letters: f64 = (0..half).map(|drawn| ((LETTERS.len() - drawn) as f64).ln()).sum();
            letters + (HALF.count() as f64).ln()
        };
        let lines = &self.lines[lines];
        Floor { nats: lines.iter().map(of_line).sum(), chars: lines.iter().map(String::len).sum() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn halves_are_alike_and_have_each_letter_once() {
        let made = repeats(5, 100_000);
        let mut lengths = BTreeSet::new();
        for line in &made.lines {
            let text = line.strip_suffix('\n').expect("a line");
            let (first, second) = text.split_at(text.len() / 2);
            assert_eq!(first, second);
            assert_eq!(first.chars().collect::<BTreeSet<_>>().len(), first.len());
            lengths.insert(first.len());
        }
        assert_eq!(lengths, HALF.collect());
        assert_eq!(made, repeats(5, 100_000));
        assert_ne!(made.lines[..9], repeats(6, 100_000).lines[..9]);
        // Every letter is as likely as another at any place.
        let first = made.lines.iter().filter(|line| line.starts_with('q')).count() as f64;
        assert!((first / made.lines.len() as f64 - 1.0 / 52.0).abs() < 0.01);
    }

    #[test]
    fn the_floor_counts_every_draw_once() {
        let made = Repeats { lines: vec![format!("{0}{0}\n", "abcdefgh")] };
        let expected = (45..=52).map(|left| f64::from(left).ln()).sum::<f64>() + 21f64.ln();
        let floor = made.floor(0..);
        assert!((floor.nats - expected).abs() < 1e-9);
        assert_eq!(floor.chars, 17);
    }
}
