//! Requests: "Tell a tale about Ben and the tent.", and whether a text is the tale that was asked for.

use std::fmt;

use super::judge::{Verdict, judge};
use crate::sampler::mix;

/// Between name and thing in the title of every tale.
const AND: &str = " and ";

/// How a request begins.
const ABOUT: &str = "Tell a tale about ";

/// Who and what a tale is to be about.
///
/// ```
#[doc = "# use kiln_datasets::tales::{Request, corpus};"]
/// let story = corpus(1, 1).stories.remove(0).text;
/// let request = Request::of(&story).expect("every tale has a title");
/// assert!(request.to_string().starts_with("Tell a tale about "));
/// assert!(request.answer(&story).is_right());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// Who it is about: `Ben`.
    pub name: String,
    /// What it is about: `the tent`.
    pub thing: String,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the text is a tale in which everyone and everything stays the same.
    pub is_tale: bool,
    /// Whether its title has the name and the thing that were asked for.
    pub is_about_both: bool,
}

impl Answer {
    /// A whole tale about both.
    pub fn is_right(self) -> bool {
        self.is_tale && self.is_about_both
    }
}

impl Request {
    /// The request that `story` answers: what its title says.
    pub fn of(story: &str) -> Option<Self> {
        let (name, thing) = story.lines().next()?.split_once(AND)?;
        Some(Self { name: name.to_owned(), thing: thing.to_owned() })
    }

    /// The request that a text makes, if it is worded as one.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, thing) = text.trim().strip_prefix(ABOUT)?.strip_suffix('.')?.split_once(AND)?;
        Some(Self { name: name.to_owned(), thing: thing.to_owned() })
    }

    /// Whether requests for this pair are kept from training, so that a model can be asked what it was never told: one pair in
    /// ten, a function of name and thing alone.
    pub fn is_held_out(&self) -> bool {
        self.hash().is_multiple_of(10)
    }

    /// Whether it is one of the half of these pairs to test with. The others serve to choose the best model.
    pub fn is_for_test(&self) -> bool {
        self.is_held_out() && self.hash() / 10 % 2 == 1
    }

    fn hash(&self) -> u64 {
        let bytes = self.name.bytes().chain([0]).chain(self.thing.bytes());
        bytes.fold(0, |hash, byte| mix(hash, u64::from(byte)))
    }

    /// Judges a text that a model wrote.
    pub fn answer(&self, text: &str) -> Answer {
        let text = text.trim();
        Answer {
            is_tale: judge(text) == Verdict::Whole,
            is_about_both: Self::of(text).as_ref() == Some(self),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ABOUT}{}{AND}{}.", self.name, self.thing)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::corpus::corpus;
    use super::*;

    #[test]
    fn every_tale_answers_the_request_of_its_title_and_no_other() {
        let stories = corpus(11, 60_000).stories;
        let requests: Vec<Request> =
            stories.iter().map(|story| Request::of(&story.text).expect("a title")).collect();
        for (story, request) in stories.iter().zip(&requests) {
            assert_eq!(Request::parse(&request.to_string()).as_ref(), Some(request));
            assert!(request.answer(&format!("{}\n\n", story.text)).is_right());
            let other = requests.iter().find(|other| *other != request).expect("another");
            assert_eq!(other.answer(&story.text), Answer { is_tale: true, is_about_both: false });
        }
        let cut = &stories[0].text[..stories[0].text.len() - 1];
        assert_eq!(requests[0].answer(cut), Answer { is_tale: false, is_about_both: true });
        assert_eq!(requests[0].answer(""), Answer { is_tale: false, is_about_both: false });
    }

    #[test]
    fn one_pair_in_ten_is_held_out_and_half_of_them_to_test() {
        let stories = corpus(12, 600_000).stories;
        let pairs: BTreeSet<Request> =
            stories.iter().map(|story| Request::of(&story.text).expect("a title")).collect();
        let held_out = pairs.iter().filter(|pair| pair.is_held_out()).count() as f64 / pairs.len() as f64;
        assert!((0.05..0.15).contains(&held_out), "{held_out} of {} pairs", pairs.len());
        let tested = pairs.iter().filter(|pair| pair.is_for_test()).count() as f64 / pairs.len() as f64;
        assert!((0.3..0.7).contains(&(tested / held_out)), "{tested} of {held_out}");
    }
}
