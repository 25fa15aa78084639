//! Recognising: is this text a tale, by which draws, and if not, where does it first depart from one?
//!
//! The parser walks the same grammar as the teller. It does not stop at the first derivation that fits but
//! searches for all of them, so a text that it accepts is known to have exactly one, and the nats of that one
//! are `−ln` of the probability of the text.

use std::collections::BTreeSet;

use super::departure::ParseError;
use super::grammar::{Grammar, Node, State, Step, TALES, nats};

/// How many characters before and after the point of departure an error shows.
const SHOWN: usize = 30;

/// The draws from which a text came.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivation {
    /// For each draw in the order of the text, the index of what was drawn.
    pub choices: Vec<usize>,
    /// `−ln` of the probability of the text under the grammar, as the first story of a corpus.
    pub nats: f64,
}

/// Recognises one story, as in [`Story::text`](super::Story::text): title, line feed, paragraph, no
/// separator.
///
/// # Errors
/// [`ParseError::Departs`] with the position up to which the text is the beginning of some tale.
pub fn parse(text: &str) -> Result<Derivation, ParseError> {
    parse_with(&TALES, text)
}

/// [`parse`] for any grammar.
pub(super) fn parse_with(grammar: &Grammar, text: &str) -> Result<Derivation, ParseError> {
    let mut search = Search::new(grammar, text, true);
    search.run(&STORY, 0);
    match (search.first.take(), search.found) {
        (Some(derivation), 1) => Ok(derivation),
        (Some(_), derivations) => Err(ParseError::Ambiguous { derivations }),
        (None, _) => Err(search.departure()),
    }
}

/// Whether the text would be a tale if a story forgot at once what it told: every slot stands for any of its rows.
pub(super) fn is_told_like_a_tale(grammar: &Grammar, text: &str) -> bool {
    let mut search = Search::new(grammar, text, false);
    search.run(&STORY, 0);
    search.found > 0
}

/// All that a text has to match.
const STORY: Rest<'static> = Rest { nodes: &[Node::Rule(0)], next: None };

/// What remains to be matched: nodes, and after them the rest of what surrounds them.
struct Rest<'a> {
    nodes: &'a [Node],
    next: Option<&'a Rest<'a>>,
}

/// A search with backtracking for all derivations of a text.
struct Search<'a> {
    grammar: &'a Grammar,
    text: &'a str,
    /// Whether a slot keeps its row to the end of the story. If not, one derivation is enough.
    remembers: bool,
    state: State,
    choices: Vec<usize>,
    nats: f64,
    first: Option<Derivation>,
    found: usize,
    furthest: usize,
    expected: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(grammar: &'a Grammar, text: &'a str, remembers: bool) -> Self {
        Self {
            grammar,
            text,
            remembers,
            state: grammar.start(),
            choices: Vec::new(),
            nats: 0.0,
            first: None,
            found: 0,
            furthest: 0,
            expected: Vec::new(),
        }
    }

    /// Counts all derivations in which `rest` stands from byte `at` to the end of the text.
    fn run(&mut self, rest: &Rest<'_>, at: usize) {
        let Some((node, nodes)) = rest.nodes.split_first() else {
            match rest.next {
                Some(next) => self.run(next, at),
                None => self.end(at),
            }
            return;
        };
        let after = Rest { nodes, next: rest.next };
        let grammar = self.grammar;
        if !self.remembers && self.found > 0 {
            return;
        }
        match grammar.step(node, &self.state) {
            Step::Text(text) => {
                if self.text.as_bytes()[at..].starts_with(text.as_bytes()) {
                    self.run(&after, at + text.len());
                } else {
                    self.miss(text, at);
                }
            }
            Step::Expand(rule) => {
                let total = rule.total();
                for (index, alternative) in rule.alternatives.iter().enumerate() {
                    let nodes = &alternative.nodes;
                    let inner = Rest { nodes, next: Some(&after) };
                    self.choose(index, nats(alternative.weight, total), |search| search.run(&inner, at));
                }
            }
            Step::Bind(..) if !self.remembers => {
                // Rows that say the same here are one.
                let texts: BTreeSet<&str> = grammar.texts(node).collect();
                for text in texts {
                    if self.text.as_bytes()[at..].starts_with(text.as_bytes()) {
                        self.run(&after, at + text.len());
                    }
                }
            }
            Step::Bind(var, rows) => {
                let nats = nats(1, rows.len() as u64);
                for (index, &row) in rows.iter().enumerate() {
                    self.state[var] = Some(row);
                    self.choose(index, nats, |search| search.run(rest, at));
                }
                self.state[var] = None;
            }
        }
    }

    /// Searches on with one more draw, and takes it back.
    fn choose(&mut self, index: usize, nats: f64, run: impl FnOnce(&mut Self)) {
        let before = self.nats;
        self.choices.push(index);
        self.nats += nats;
        run(self);
        self.nats = before;
        self.choices.pop();
    }

    /// The grammar has nothing left at byte `at`.
    fn end(&mut self, at: usize) {
        if at < self.text.len() {
            self.wanted(None, at);
            return;
        }
        self.found += 1;
        if self.first.is_none() {
            self.first = Some(Derivation { choices: self.choices.clone(), nats: self.nats });
        }
    }

    /// Notes where `wanted` and the text from byte `at` on part.
    fn miss(&mut self, wanted: &str, at: usize) {
        let common = wanted.bytes().zip(self.text[at..].bytes()).take_while(|(a, b)| a == b).count();
        self.wanted(Some(&wanted[common..]), at + common);
    }

    /// Notes what was expected at byte `at`, if the search never came further; `None` is the end of the text.
    fn wanted(&mut self, wanted: Option<&str>, at: usize) {
        if at > self.furthest {
            self.furthest = at;
            self.expected.clear();
        }
        if at == self.furthest
            && let Some(wanted) = wanted
        {
            self.expected.push(wanted.to_owned());
        }
    }

    /// The error that names the furthest point the search reached.
    fn departure(mut self) -> ParseError {
        let at = self.furthest;
        let (before, after) = self.text.split_at(at);
        let skipped = before.chars().count().saturating_sub(SHOWN);
        self.expected.sort();
        self.expected.dedup();
        ParseError::Departs {
            at,
            agrees: before.chars().skip(skipped).collect(),
            found: after.chars().take(SHOWN).collect(),
            expected: self.expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::compile;
    use super::super::corpus::corpus;
    use super::*;

    const RHYME: &str = "rule story\n  {hero} has a {pet}. [The {pet} is|It is] {hero.his}.\n\
        table child: name, his\n  Tom | his\n  Ann | hers\nvar hero: child\nwords pet: cat, cow\nvar pet: pet\n";

    #[test]
    fn draws_are_found_again() {
        let grammar = compile(RHYME).unwrap();
        let derivation = parse_with(&grammar, "Ann has a cow. The cow is hers.").unwrap();
        assert_eq!(derivation.choices, [0, 1, 1, 0]);
        assert!((derivation.nats - 8.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn a_departure_is_named_where_it_happens() {
        let grammar = compile(RHYME).unwrap();
        for (text, message, unfinished) in [
            (
                "Ann has a cow. The cat is hers.",
                "not a tale from byte 20 on: after \"Ann has a cow. The c\" comes \"at is hers.\", where a tale has \"ow\"",
                false,
            ),
            (
                "Ann has a c",
                "not a tale from byte 11 on: after \"Ann has a c\" the text ends, where a tale has one of [\"at\", \"ow\"]",
                true,
            ),
            (
                "Tom has a cat. It is his. And a cow.",
                "not a tale from byte 25 on: after \"Tom has a cat. It is his.\" comes \" And a cow.\", where a tale ends",
                false,
            ),
            (
                "\u{e9}",
                "not a tale from byte 0 on: after \"\" comes \"\u{e9}\", where a tale has one of [\"Ann\", \"Tom\"]",
                false,
            ),
        ] {
            let error = parse_with(&grammar, text).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert_eq!(error.is_unfinished(), unfinished, "{text}");
        }
    }

    #[test]
    fn every_beginning_of_a_tale_is_unfinished() {
        let text = &corpus(9, 1).stories[0].text;
        for end in 0..text.len() {
            let error = parse(&text[..end]).unwrap_err();
            assert!(error.is_unfinished(), "{error}");
        }
    }

    #[test]
    fn a_tale_that_forgets_its_hero_departs_there() {
        let story = corpus(1, 1).stories.remove(0).text;
        let hero = story.split(' ').next().unwrap();
        let at = story.rfind(hero).unwrap();
        assert!(at > 200, "{story}");
        let changed = format!("{}?{}", &story[..at], &story[at + 1..]);
        match parse(&changed).unwrap_err() {
            ParseError::Departs { at: departs, found, .. } => {
                assert_eq!(departs, at);
                assert!(found.starts_with('?'));
            }
            error => panic!("{error}"),
        }
    }
}
