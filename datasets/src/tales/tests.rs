//! Tests of the embedded grammar as a whole: what is told, and what is stated about it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::compile::compile;
use super::corpus::{Corpus, corpus};
use super::grammar::{Grammar, Node, SOURCES, State, Step, TALES, nats};
use super::parse::{parse, parse_with};
use super::tell::Teller;

/// A few thousand stories.
fn book() -> Corpus {
    corpus(1, 2_000_000)
}

/// The words of a text, as written.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty())
}

#[test]
fn every_tale_has_one_derivation_with_the_stated_nats() {
    for story in &book().stories {
        let derivation = parse(&story.text).unwrap_or_else(|error| panic!("{error}\n{}", story.text));
        assert!((derivation.nats - story.nats).abs() < 1e-9, "{}", story.text);
    }
}

#[test]
fn no_two_stories_are_alike() {
    let book = book();
    let texts: HashSet<&str> = book.stories.iter().map(|story| story.text.as_str()).collect();
    assert_eq!(texts.len(), book.stories.len());
}

/// Appends `(text, −ln p)` of everything that `nodes`, the next one last, can still become.
fn enumerate(
    grammar: &Grammar,
    mut nodes: Vec<Node>,
    state: &State,
    told: (String, f64),
    all: &mut Vec<(String, f64)>,
) {
    let Some(node) = nodes.pop() else {
        all.push(told);
        return;
    };
    let (text, cost) = told;
    match grammar.step(&node, state) {
        Step::Text(more) => enumerate(grammar, nodes, state, (text + more, cost), all),
        Step::Expand(rule) => {
            for alternative in &rule.alternatives {
                let mut nodes = nodes.clone();
                nodes.extend(alternative.nodes.iter().rev().cloned());
                let cost = cost + nats(alternative.weight, rule.total());
                enumerate(grammar, nodes, state, (text.clone(), cost), all);
            }
        }
        Step::Bind(var, rows) => {
            nodes.push(node);
            let cost = cost + nats(1, rows.len() as u64);
            for row in rows {
                let mut state = state.clone();
                state[var] = Some(row);
                enumerate(grammar, nodes.clone(), &state, (text.clone(), cost), all);
            }
        }
    }
}

#[test]
fn probabilities_of_all_texts_of_a_part_sum_to_one() {
    // Parts of the embedded grammar that are small enough to write out in full.
    for part in [
        "<oneday> <spot>",
        "{hero} met {friend} and {kin}, and {friend} told {hero.him}",
        "{kin.He} met {hero}, {hero.he} and {kin} [met|told] {friend}",
        "<oh>! {errand} {errand.use} <finish_word>",
    ] {
        let source = format!("rule start\n  {part}\nwords finish_word: one, two\n{}", SOURCES.concat());
        let grammar = compile(&source).unwrap();
        let mut all = Vec::new();
        enumerate(&grammar, vec![Node::Rule(0)], &grammar.start(), (String::new(), 0.0), &mut all);
        let total: f64 = all.iter().map(|(_, nats)| (-nats).exp()).sum();
        assert!((total - 1.0).abs() < 1e-9, "{part}: {total}");
        let texts: BTreeMap<&str, f64> = all.iter().map(|(text, nats)| (text.as_str(), *nats)).collect();
        assert_eq!(texts.len(), all.len(), "{part}: a text with two derivations");
        // What is drawn is among them, at the price that was stated.
        let mut teller = Teller::new(&grammar, 1);
        for _ in 0..1000 {
            let story = teller.draw();
            assert!((texts[story.text.as_str()] - story.nats).abs() < 1e-9, "{}", story.text);
            assert!(parse_with(&grammar, &story.text).is_ok());
        }
    }
}

#[test]
fn drawn_alternatives_are_as_frequent_as_their_weights() {
    // The first draw of a story is its plot, the second its hero.
    let book = book();
    let mut plots = BTreeMap::<usize, f64>::new();
    let mut heroes = BTreeMap::<usize, f64>::new();
    for story in &book.stories {
        let choices = parse(&story.text).unwrap().choices;
        *plots.entry(choices[0]).or_default() += 1.0;
        *heroes.entry(choices[1]).or_default() += 1.0;
    }
    for counts in [plots, heroes] {
        let free = counts.len() as f64 - 1.0;
        let expected = book.stories.len() as f64 / counts.len() as f64;
        let chi2: f64 = counts.values().map(|n| (n - expected).powi(2) / expected).sum();
        assert!(chi2 < free + 5.0 * (2.0 * free).sqrt(), "chi² {chi2} at {free} degrees of freedom");
    }
}

#[test]
fn floor_is_the_entropy_of_the_grammar() {
    // Nats per character of independent corpora agree: the realised value is close to its expectation.
    let floors: Vec<f64> = (0..4).map(|seed| corpus(seed, 1_000_000).nats_per_char()).collect();
    for floor in &floors {
        assert!((0.12..0.16).contains(floor), "{floor}");
        assert!((floor / floors[0] - 1.0).abs() < 0.01, "{floors:?}");
    }
}

#[test]
fn stories_have_a_title_one_paragraph_and_a_moderate_length() {
    for story in book().stories {
        let (title, body) = story.text.split_once('\n').unwrap();
        assert!(title.contains(" and the ") && !title.ends_with('.'), "{title}");
        assert!(!body.contains('\n') && body.ends_with(['.', '!', '"']), "{body}");
        assert!((300..=700).contains(&story.text.len()), "{}: {}", story.text.len(), story.text);
        for fault in ["  ", " .", " ,", "..", " !", "\n "] {
            assert!(!story.text.contains(fault), "{fault:?} in {}", story.text);
        }
        assert_eq!(body.matches('"').count() % 2, 0, "{body}");
    }
}

#[test]
fn characters_and_words_are_few() {
    let text = book().text();
    let sorts: BTreeSet<char> = text.chars().collect();
    assert!(sorts.iter().all(|c| c.is_ascii_alphabetic() || " \n.,!?\"".contains(*c)), "{sorts:?}");
    let vocabulary: BTreeSet<String> = words(&text).map(str::to_ascii_lowercase).collect();
    assert!(vocabulary.len() < 550, "{}", vocabulary.len());
}

#[test]
fn articles_agree() {
    let text = book().text();
    let words: Vec<&str> = words(&text).collect();
    for pair in words.windows(2) {
        let is_vowel =
            pair[1].starts_with(['a', 'e', 'i', 'o', 'u']) || pair[1] == "honest" || pair[1] == "hour";
        match pair[0] {
            "a" | "A" => assert!(!is_vowel, "{pair:?}"),
            "an" | "An" => assert!(is_vowel, "{pair:?}"),
            _ => {}
        }
    }
}

#[test]
fn the_thing_of_the_title_is_found_and_used() {
    for story in book().stories {
        let (title, body) = story.text.split_once('\n').unwrap();
        let (hero, thing) = title.split_once(" and the ").unwrap();
        assert!(body.matches(hero).count() >= 3, "{}", story.text);
        let noun = thing.rsplit(' ').next().unwrap();
        let half = body.len() / 2;
        let uses = [&body[..half], &body[half..]].map(|part| part.matches(noun).count());
        assert!(uses.iter().all(|&n| n > 0), "{uses:?} {}", story.text);
    }
}

#[test]
fn every_rule_and_every_variable_is_of_use() {
    let mut open = vec![0];
    let mut rules: HashSet<usize> = HashSet::from([0]);
    let mut tables = HashSet::new();
    while let Some(rule) = open.pop() {
        for node in TALES.rules[rule].alternatives.iter().flat_map(|alternative| &alternative.nodes) {
            match *node {
                Node::Rule(next) if rules.insert(next) => open.push(next),
                Node::Slot { var, .. } => _ = tables.insert(TALES.variables[var].table),
                _ => {}
            }
        }
    }
    // `words` make a rule and a table with the same texts, of which one may be idle.
    for (index, rule) in TALES.rules.iter().enumerate().filter(|(index, _)| !rules.contains(index)) {
        let texts: Vec<&Node> = rule.alternatives.iter().flat_map(|alternative| &alternative.nodes).collect();
        let is_table = |&table: &usize| {
            let rows = &TALES.tables[table].rows;
            rows.len() == texts.len()
                && rows.iter().zip(&texts).all(|(row, text)| Node::Text(row[0].plain.clone()) == **text)
        };
        assert!(tables.iter().any(is_table), "rule {index} is never used: {rule:?}");
    }
}
