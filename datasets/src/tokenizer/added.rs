//! Tokens that are taken from a text whole, before it is split: special ones, which stand for no text, and
//! others, which are found in every text.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};

use super::normalizer::Normalizer;

/// A token that is written out in a text as it stands here.
#[derive(Clone, Debug)]
pub(super) struct AddedToken {
    pub content: String,
    pub id: u32,
    /// Whether no text becomes it unless that is asked for.
    pub special: bool,
    /// Whether it is looked for after the text has been normalised.
    pub normalized: bool,
}

impl AddedToken {
    pub(super) fn special(content: &str, id: u32) -> Self {
        Self { content: content.to_owned(), id, special: true, normalized: false }
    }
}

/// All added tokens of a tokenizer.
#[derive(Debug)]
pub(super) struct AddedTokens {
    tokens: Vec<AddedToken>,
    normalizer: Normalizer,
    /// Those that are found in every text.
    ordinary: Searches,
    all: Searches,
}

/// What a text consists of.
pub(super) enum Part<'a> {
    /// To be split and merged.
    Text(&'a str),
    Token(u32),
}

impl AddedTokens {
    pub(super) fn new(tokens: Vec<AddedToken>, normalizer: Normalizer) -> Self {
        let ordinary = Searches::new(tokens.iter().filter(|token| !token.special), normalizer);
        let all = Searches::new(tokens.iter(), normalizer);
        Self { tokens, normalizer, ordinary, all }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &AddedToken> {
        self.tokens.iter()
    }

    /// Whether every text without special tokens is one part, as it stands.
    pub(super) fn leave_texts_alone(&self) -> bool {
        self.ordinary.is_empty() && self.normalizer == Normalizer::None
    }

    /// Calls `take` with the parts of `text` in their order, normalised. `special`: special tokens that are
    /// written out in it become their ids.
    pub(super) fn for_each_part(&self, text: &str, special: bool, take: &mut dyn FnMut(Part<'_>)) {
        let searches = if special { &self.all } else { &self.ordinary };
        search(searches.as_written.as_ref(), text, &mut |part| match part {
            Part::Token(_) => take(part),
            Part::Text(text) => {
                search(searches.normalized.as_ref(), &self.normalizer.normalize(text), take);
            }
        });
    }
}

/// As the `tokenizers` crate does it: first in the text as it is, then in what is left of it, normalised.
#[derive(Debug)]
struct Searches {
    as_written: Option<Search>,
    normalized: Option<Search>,
}

impl Searches {
    fn new<'a>(tokens: impl Iterator<Item = &'a AddedToken>, normalizer: Normalizer) -> Self {
        let (normalized, as_written): (Vec<_>, Vec<_>) = tokens.partition(|token| token.normalized);
        let as_written = as_written.into_iter().map(|token| (token.content.as_str().into(), token.id));
        let normalized = normalized.into_iter().map(|token| (normalizer.normalize(&token.content), token.id));
        Self { as_written: Search::new(as_written.collect()), normalized: Search::new(normalized.collect()) }
    }

    fn is_empty(&self) -> bool {
        self.as_written.is_none() && self.normalized.is_none()
    }
}

/// Some tokens, ready to be found: of those that begin first, the longest.
#[derive(Debug)]
struct Search {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl Search {
    fn new(tokens: Vec<(Cow<'_, str>, u32)>) -> Option<Self> {
        let ids: Vec<u32> = tokens.iter().map(|(_, id)| *id).collect();
        let contents = tokens.iter().map(|(content, _)| content.as_bytes());
        let builder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(contents);
        (!ids.is_empty()).then(|| Self { automaton: builder.expect("fewer states than 2³¹"), ids })
    }
}

fn search(search: Option<&Search>, text: &str, take: &mut dyn FnMut(Part<'_>)) {
    let mut rest = 0;
    if let Some(Search { automaton, ids }) = search {
        for found in automaton.find_iter(text) {
            if rest < found.start() {
                take(Part::Text(&text[rest..found.start()]));
            }
            take(Part::Token(ids[found.pattern().as_usize()]));
            rest = found.end();
        }
    }
    if rest < text.len() {
        take(Part::Text(&text[rest..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(tokens: &AddedTokens, text: &str, special: bool) -> Vec<String> {
        let mut parts = Vec::new();
        tokens.for_each_part(text, special, &mut |part| {
            parts.push(match part {
                Part::Text(text) => text.to_owned(),
                Part::Token(id) => id.to_string(),
            });
        });
        parts
    }

    #[test]
    fn the_longest_token_that_begins_first_is_taken_and_special_ones_only_on_request() {
        let token = |content: &str, id, special, normalized| AddedToken {
            content: content.to_owned(),
            id,
            special,
            normalized,
        };
        let tokens = vec![
            token("<a>", 0, false, false),
            token("<a><a>", 1, false, false),
            token("<end>", 2, true, false),
            token("e\u{301}", 3, false, true),
            token("e\u{301}t", 4, false, false),
        ];
        let tokens = AddedTokens::new(tokens, Normalizer::Nfc);
        assert_eq!(parts(&tokens, "<a><a><a>x<end>", false), ["1", "0", "x<end>"]);
        assert_eq!(parts(&tokens, "<a><a><a>x<end>", true), ["1", "0", "x", "2"]);
        // One is looked for in the text as it is, the other in its normal form.
        assert_eq!(parts(&tokens, "ét e\u{301}t e\u{301} u\u{308}", false), ["3", "t ", "4", " ", "3", " ü"]);
        assert_eq!(parts(&tokens, "", true), Vec::<String>::new());
    }
}
