//! The corpus: stories, their text and the loss that no model can beat on them.

use std::ops::RangeBounds;

use super::grammar::TALES;
use super::tell::Teller;

/// What follows each story, the last one included.
pub const SEPARATOR: &str = "\n\n";

/// One story.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// Title line, line feed, one paragraph; without the separator.
    pub text: String,
    /// `−ln` of the probability of this story, given all those told before.
    pub nats: f64,
}

/// Stories in the order in which they were told; no two are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    /// The stories.
    pub stories: Vec<Story>,
}

/// The least loss that a model can have on a text, in expectation; see the [module](super) for what it
/// states.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// `−ln` of the probability of the text, given all that was told before it.
    pub nats: f64,
    /// Number of characters, separators included. All are ASCII, so this is the number of bytes as well.
    pub chars: usize,
}

/// Tells stories until their text, separators included, has at least `min_bytes` bytes.
///
/// The same `seed` tells the same stories on every platform (`nats` may differ in the last bit, as `ln`
/// does), and a greater `min_bytes` only adds to them.
///
/// ```
#[doc = "# use kiln_datasets::tales;"]
/// let corpus = tales::corpus(1, 10_000);
/// let split = corpus.split_index(0.9);
/// let validation = corpus.text_of(split..);
/// let floor = corpus.floor(split..).per_char();
/// assert!(corpus.text().ends_with(&validation));
/// assert!(0.1 < floor && floor < 0.2);
/// ```
pub fn corpus(seed: u64, min_bytes: usize) -> Corpus {
    let mut teller = Teller::new(&TALES, seed);
    let mut stories = Vec::new();
    let mut bytes = 0;
    while bytes < min_bytes {
        let story = teller.next_story();
        bytes += story.text.len() + SEPARATOR.len();
        stories.push(story);
    }
    Corpus { stories }
}

impl Corpus {
    /// All stories, each followed by [`SEPARATOR`].
    pub fn text(&self) -> String {
        self.text_of(..)
    }

    /// The floor of the whole corpus per character.
    ///
    /// Not a number if there are no stories.
    pub fn nats_per_char(&self) -> f64 {
        self.floor(..).per_char()
    }

    /// The text of a range of stories, each followed by [`SEPARATOR`].
    ///
    /// # Panics
    /// If the range ends beyond the last story.
    pub fn text_of(&self, range: impl RangeBounds<usize>) -> String {
        let mut text = String::new();
        for story in self.slice(range) {
            text.push_str(&story.text);
            text.push_str(SEPARATOR);
        }
        text
    }

    /// The floor of a range of stories, given all stories before the range.
    ///
    /// For the validation text at the end of the corpus this is the floor of every model that was trained on
    /// nothing but the stories before it.
    ///
    /// # Panics
    /// If the range ends beyond the last story.
    pub fn floor(&self, range: impl RangeBounds<usize>) -> Floor {
        let stories = self.slice(range);
        Floor {
            nats: stories.iter().map(|story| story.nats).sum(),
            chars: stories.iter().map(|story| story.text.len() + SEPARATOR.len()).sum(),
        }
    }

    /// The number of stories that make up the first `fraction` of the text: the least number whose text,
    /// separators included, reaches `fraction` of all bytes.
    ///
    /// Training text is `text_of(..index)`, validation text `text_of(index..)`.
    pub fn split_index(&self, fraction: f64) -> usize {
        let goal = fraction * self.floor(..).chars as f64;
        let mut bytes = 0;
        self.stories
            .iter()
            .take_while(|story| {
                let is_short = (bytes as f64) < goal;
                bytes += story.text.len() + SEPARATOR.len();
                is_short
            })
            .count()
    }

    /// The stories of a range.
    fn slice(&self, range: impl RangeBounds<usize>) -> &[Story] {
        &self.stories[(range.start_bound().cloned(), range.end_bound().cloned())]
    }
}

impl Floor {
    /// Nats per character.
    pub fn per_char(&self) -> f64 {
        self.nats / self.chars as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 100_000;

    #[test]
    fn a_seed_tells_the_same_stories() {
        let corpus_1 = corpus(1, BYTES);
        assert_eq!(corpus_1, corpus(1, BYTES));
        assert_ne!(corpus_1.text(), corpus(2, BYTES).text());
    }

    #[test]
    fn more_bytes_only_add_stories() {
        let (short, long) = (corpus(5, BYTES / 2), corpus(5, BYTES));
        assert_eq!(short.stories, long.stories[..short.stories.len()]);
        assert!(short.text().len() >= BYTES / 2);
        // The last story is needed to reach the length that was asked for.
        assert!(short.text_of(..short.stories.len() - 1).len() < BYTES / 2);
    }

    #[test]
    fn nothing_is_asked_and_nothing_is_told() {
        let empty = corpus(1, 0);
        assert!(empty.stories.is_empty() && empty.text().is_empty());
        assert_eq!(empty.split_index(0.9), 0);
        assert!(empty.nats_per_char().is_nan());
    }

    #[test]
    fn floors_of_parts_add_up_and_count_every_character() {
        let corpus = corpus(3, BYTES);
        let split = corpus.split_index(0.9);
        let (train, validation, all) = (corpus.floor(..split), corpus.floor(split..), corpus.floor(..));
        assert_eq!(train.chars, corpus.text_of(..split).len());
        assert_eq!(validation.chars, corpus.text_of(split..).chars().count());
        assert_eq!(train.chars + validation.chars, all.chars);
        assert!((train.nats + validation.nats - all.nats).abs() < 1e-6);
        assert_eq!(corpus.nats_per_char(), all.per_char());
        assert_eq!(corpus.text_of(..split) + &corpus.text_of(split..), corpus.text());
    }

    #[test]
    fn split_is_the_first_boundary_at_or_after_the_fraction() {
        let corpus = corpus(4, BYTES);
        let split = corpus.split_index(0.9);
        let goal = 0.9 * corpus.text().len() as f64;
        assert!(corpus.text_of(..split).len() as f64 >= goal);
        assert!((corpus.text_of(..split - 1).len() as f64) < goal);
        assert_eq!((corpus.split_index(0.0), corpus.split_index(1.0)), (0, corpus.stories.len()));
    }
}
