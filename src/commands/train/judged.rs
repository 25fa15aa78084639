//! How many of the stories that a model writes hold together.

use std::fmt;

use kiln_datasets::tales::{Verdict, judge};

/// What became of some stories.
pub struct Judged {
    stories: usize,
    /// Told like a tale, with or without a slip.
    tales: usize,
    whole: usize,
}

impl Judged {
    pub fn of(stories: &[String]) -> Self {
        let verdicts: Vec<Verdict> = stories.iter().map(|story| judge(story)).collect();
        let count = |is: fn(Verdict) -> bool| verdicts.iter().filter(|verdict| is(**verdict)).count();
        Self {
            stories: stories.len(),
            tales: count(|verdict| verdict != Verdict::NoTale),
            whole: count(|verdict| verdict == Verdict::Whole),
        }
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stories, tales, whole } = self;
        write!(
            f,
            "of {stories} stories, {tales} are told like the tales they were learned from, and in {whole} everyone and everything \
             stays the same to the end"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_that_forgets_its_hero_is_a_tale_with_a_slip() {
        let story = kiln_datasets::tales::corpus(3, 1).stories.remove(0).text;
        let hero = story.split(' ').next().expect("a title");
        let last = story.rfind(hero).expect("a hero");
        let other = if hero == "Tom" { "Ben" } else { "Tom" };
        let slip = format!("{}{other}{}", &story[..last], &story[last + hero.len()..]);
        let told = Judged::of(&[story, slip, "Once upon a".to_owned()]).to_string();
        assert!(told.starts_with("of 3 stories, 2 are told") && told.contains("in 1 everyone"), "{told}");
    }
}
