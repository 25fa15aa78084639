//! What the stories of an arm come to.

use std::collections::HashSet;

use serde::Serialize;

/// Figures of the stories that were written one way, at one strength.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// How they were written.
    pub arm: &'static str,
    /// How strongly, in mean norms of the residual stream; nats for a bias of logits.
    pub strength: f32,
    /// Stories.
    pub stories: usize,
    /// Share of them that have the word.
    pub with_word: f64,
    /// 95 % interval of that share, after Wilson.
    pub with_word_interval: [f64; 2],
    /// Share of the stories that are sound, where that can be told.
    pub sound: Option<f64>,
    /// Share of the stories that are sound and have the word.
    pub sound_with_word: Option<f64>,
    /// Words of a story, on the average.
    pub words: f64,
    /// Share of all pairs of neighbouring words that are different ones.
    pub distinct_2: f64,
    /// The same of triples.
    pub distinct_3: f64,
    /// Share of a story's triples that it had before.
    pub repeated_3: f64,
    /// Nats between what was written and the model as it is: `Σ KL(steered ‖ unsteered)` over the tokens of a story, on the
    /// average; none where the prompt is another one.
    pub kl: Option<f64>,
    /// Nats that this share of stories with the word costs at least; none where the word's own share is not known.
    pub kl_floor: Option<f64>,
}

/// A story as it is counted.
pub(super) struct Counted {
    pub(super) text: String,
    pub(super) has_word: bool,
    pub(super) is_sound: Option<bool>,
}

impl Figures {
    /// Counts stories.
    pub(super) fn of(
        arm: &'static str,
        strength: f32,
        stories: &[Counted],
        kl: Option<f64>,
        base: Option<f64>,
    ) -> Self {
        let count = |is: &dyn Fn(&Counted) -> bool| stories.iter().filter(|story| is(story)).count();
        let share = |count: usize| count as f64 / stories.len().max(1) as f64;
        let with_word = count(&|story| story.has_word);
        let judged = stories.iter().any(|story| story.is_sound.is_some());
        let sound = |more: &dyn Fn(&Counted) -> bool| {
            judged.then(|| share(count(&|story| story.is_sound == Some(true) && more(story))))
        };
        let words: Vec<Vec<&str>> =
            stories.iter().map(|story| story.text.split_whitespace().collect()).collect();
        Self {
            arm,
            strength,
            stories: stories.len(),
            with_word: share(with_word),
            with_word_interval: wilson(with_word, stories.len()),
            sound: sound(&|_| true),
            sound_with_word: sound(&|story| story.has_word),
            words: words.iter().map(Vec::len).sum::<usize>() as f64 / stories.len().max(1) as f64,
            distinct_2: distinct(&words, 2),
            distinct_3: distinct(&words, 3),
            repeated_3: words.iter().map(|words| 1.0 - distinct(std::slice::from_ref(words), 3)).sum::<f64>()
                / stories.len().max(1) as f64,
            kl,
            kl_floor: base.map(|base| kl_floor(share(with_word), base)),
        }
    }
}

/// The 95 % interval of a share, after Wilson (1927): at 0 and at all of them it is no point.
pub fn wilson(successes: usize, of: usize) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    const Z: f64 = 1.959_963_984_540_054;
    let (n, share) = (of as f64, successes as f64 / of as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

/// Nats that it costs at least to bring a share of `base` to `rate`: `kl(rate ‖ base)` of two coins. No way to write so many
/// stories with the word can be nearer to the model.
pub fn kl_floor(rate: f64, base: f64) -> f64 {
    let term = |rate: f64, base: f64| if rate > 0.0 { rate * (rate / base).ln() } else { 0.0 };
    term(rate, base) + term(1.0 - rate, 1.0 - base)
}

/// Different runs of `n` words, of all of them; 1 where there is none.
fn distinct(texts: &[Vec<&str>], n: usize) -> f64 {
    let runs = || texts.iter().flat_map(|words| words.windows(n));
    match runs().count() {
        0 => 1.0,
        all => runs().collect::<HashSet<_>>().len() as f64 / all as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_floors_are_the_published_ones() {
        // Newcombe (1998), table I, method 3; and 27 and 450 of 500.
        for (successes, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
            (450, 500, 0.8706, 0.9234),
        ] {
            let [found_low, found_high] = wilson(successes, of);
            assert!(
                (found_low - low).abs() < 1e-4 && (found_high - high).abs() < 1e-4,
                "{found_low} {found_high}"
            );
        }
        assert!((kl_floor(1.0, 3.0 / 55.0) - (55.0f64 / 3.0).ln()).abs() < 1e-12);
        assert!((kl_floor(0.8, 3.0 / 55.0) - 1.8373).abs() < 1e-3, "{}", kl_floor(0.8, 3.0 / 55.0));
        assert_eq!(kl_floor(0.3, 0.3), 0.0);
    }

    #[test]
    fn what_repeats_itself_is_not_distinct() {
        let story = |text: &str, has_word| Counted { text: text.to_owned(), has_word, is_sound: None };
        let figures =
            Figures::of("x", 0.0, &[story("a b c a b c a b c", true), story("d e f g", false)], None, None);
        assert_eq!((figures.with_word, figures.sound, figures.words), (0.5, None, 6.5));
        assert_eq!((figures.distinct_2, figures.distinct_3), (6.0 / 11.0, 5.0 / 9.0));
        assert!((figures.repeated_3 - (4.0 / 7.0) / 2.0).abs() < 1e-12);
    }
}
