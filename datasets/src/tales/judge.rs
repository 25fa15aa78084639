//! Judging: does a text that a model wrote hold together as a tale?

use super::grammar::TALES;
use super::parse::{is_told_like_a_tale, parse};

/// How well a text holds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A tale: whoever and whatever it is about stays the same to its end.
    Whole,
    /// Told like a tale from its title to its end, but someone or something in it turns into another.
    Slips,
    /// Told otherwise.
    NoTale,
}

/// Judges one story, as [`parse`] takes it.
///
/// ```
#[doc = "# use kiln_datasets::tales::{Verdict, corpus, judge};"]
/// let story = corpus(1, 1).stories.remove(0).text;
/// assert_eq!(judge(&story), Verdict::Whole);
/// ```
pub fn judge(text: &str) -> Verdict {
    match parse(text) {
        Ok(_) => Verdict::Whole,
        Err(_) if is_told_like_a_tale(&TALES, text) => Verdict::Slips,
        Err(_) => Verdict::NoTale,
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::corpus;
    use super::*;

    #[test]
    fn a_name_that_changes_is_a_slip_and_an_unknown_word_is_no_tale() {
        for story in corpus(7, 20_000).stories {
            let text = story.text;
            assert_eq!(judge(&text), Verdict::Whole, "{text}");
            let hero = text.split(' ').next().expect("a title");
            let other = if hero == "Tom" { "Ben" } else { "Tom" };
            let last = text.rfind(hero).expect("a hero");
            let changed = |name: &str| format!("{}{name}{}", &text[..last], &text[last + hero.len()..]);
            assert_eq!(judge(&changed(other)), Verdict::Slips, "{text}");
            assert_eq!(judge(&changed("Xerxes")), Verdict::NoTale);
            assert_eq!(judge(&text[..text.len() - 1]), Verdict::NoTale, "cut off");
        }
    }
}
