//! Telling: one story after another from a grammar, none of them twice.

use std::collections::HashSet;

use super::corpus::Story;
use super::grammar::{Grammar, Node, State, Step, nats};
use super::rng::SplitMix64;

/// An endless teller of stories that are all different.
#[derive(Debug)]
pub(super) struct Teller<'g> {
    grammar: &'g Grammar,
    rng: SplitMix64,
    told: HashSet<String>,
    mass: Mass,
}

/// A sum of many small probabilities, with Neumaier's correction for what rounding loses.
#[derive(Debug, Default)]
struct Mass {
    sum: f64,
    lost: f64,
}

impl<'g> Teller<'g> {
    /// A teller of the stories of `grammar`.
    pub(super) fn new(grammar: &'g Grammar, seed: u64) -> Self {
        Self { grammar, rng: SplitMix64::new(seed), told: HashSet::new(), mass: Mass::default() }
    }

    /// The next story that was not told yet, with `−ln` of its probability given all those told before.
    ///
    /// The probability of the grammar is divided by the mass that is left, `1 − mass`: this is what drawing
    /// again until the story is new amounts to. Does not end once all stories of a finite grammar are told.
    pub(super) fn next_story(&mut self) -> Story {
        loop {
            let Story { text, nats } = self.draw();
            if self.told.contains(&text) {
                continue;
            }
            self.told.insert(text.clone());
            let left = self.mass.ln_left();
            self.mass.add((-nats).exp());
            return Story { text, nats: nats + left };
        }
    }

    /// A story of the grammar, told before or not, with `−ln` of its probability.
    pub(super) fn draw(&mut self) -> Story {
        let mut story = Story { text: String::new(), nats: 0.0 };
        let mut state = self.grammar.start();
        self.expand(&Node::Rule(0), &mut state, &mut story);
        story
    }

    /// Appends `node` to the story.
    fn expand(&mut self, node: &Node, state: &mut State, story: &mut Story) {
        let grammar = self.grammar;
        match grammar.step(node, state) {
            Step::Text(text) => story.text.push_str(text),
            Step::Expand(rule) => {
                let total = rule.total();
                let mut ticket = self.rng.below(total);
                for alternative in &rule.alternatives {
                    if ticket < alternative.weight {
                        story.nats += nats(alternative.weight, total);
                        for node in &alternative.nodes {
                            self.expand(node, state, story);
                        }
                        return;
                    }
                    ticket -= alternative.weight;
                }
            }
            Step::Bind(var, rows) => {
                let total = rows.len() as u64;
                state[var] = Some(rows[self.rng.below(total) as usize]);
                story.nats += nats(1, total);
                self.expand(node, state, story);
            }
        }
    }
}

impl Mass {
    /// Adds `p`.
    fn add(&mut self, p: f64) {
        let sum = self.sum + p;
        self.lost += if self.sum >= p { (self.sum - sum) + p } else { (p - sum) + self.sum };
        self.sum = sum;
    }

    /// `ln(1 − sum)`, accurate for sums near 0 as well.
    fn ln_left(&self) -> f64 {
        (-(self.sum + self.lost)).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::compile;
    use super::*;

    /// Six stories with the probabilities 1/2, 1/4 and 1/16 (four times).
    const SMALL: &str = "rule story\n  2: a\n  b\n  c[x|y][x|y]\n";

    #[test]
    fn frequencies_are_the_stated_probabilities() {
        let grammar = compile(SMALL).unwrap();
        let mut teller = Teller::new(&grammar, 3);
        let draws = 64_000;
        let mut seen = std::collections::HashMap::<String, (f64, f64)>::new();
        for _ in 0..draws {
            let Story { text, nats } = teller.draw();
            let entry = seen.entry(text).or_default();
            entry.0 += 1.0;
            entry.1 = (-nats).exp();
        }
        assert_eq!(seen.len(), 6);
        assert!((seen.values().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-12);
        for (text, (count, p)) in seen {
            let n = f64::from(draws);
            let deviation = (count - n * p) / (n * p * (1.0 - p)).sqrt();
            assert!(deviation.abs() < 5.0, "{text}: {count} of {n}, p = {p}");
        }
    }

    #[test]
    fn orders_without_repetition_have_the_stated_probabilities() {
        // All ordered pairs of different stories: their stated probabilities sum to 1 and are met.
        let grammar = compile(SMALL).unwrap();
        let tries = 40_000;
        let mut seen = std::collections::HashMap::<(String, String), (f64, f64)>::new();
        for seed in 0..tries {
            let mut teller = Teller::new(&grammar, seed);
            let (first, second) = (teller.next_story(), teller.next_story());
            assert_ne!(first.text, second.text);
            let entry = seen.entry((first.text, second.text)).or_default();
            entry.0 += 1.0;
            entry.1 = (-first.nats - second.nats).exp();
        }
        assert_eq!(seen.len(), 6 * 5);
        assert!((seen.values().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-12);
        for (pair, (count, p)) in seen {
            let n = tries as f64;
            let deviation = (count - n * p) / (n * p * (1.0 - p)).sqrt();
            assert!(deviation.abs() < 5.0, "{pair:?}: {count} of {n}, p = {p}");
        }
    }

    #[test]
    fn the_last_of_all_stories_is_certain() {
        let grammar = compile(SMALL).unwrap();
        for seed in 0..20 {
            let mut teller = Teller::new(&grammar, seed);
            let nats = (0..6).map(|_| teller.next_story().nats).last().unwrap();
            assert!(nats.abs() < 1e-9, "{nats}");
        }
    }

    #[test]
    fn mass_keeps_what_rounding_would_lose() {
        let mut mass = Mass::default();
        mass.add(0.5);
        for _ in 0..1000 {
            mass.add(1e-17);
        }
        assert!((mass.sum + mass.lost - (0.5 + 1e-14)).abs() < 1e-16);
    }
}
