//! Templates: from `3: {hero} <went> [home|away].` to the nodes of an alternative.

use std::iter::Peekable;
use std::str::Chars;

use super::compile::{Compiler, Result, fault};
use super::grammar::{Alternative, Node, Rule};

impl Compiler {
    /// A weight and a template.
    pub(super) fn alternative(&mut self, line: &str) -> Result<Alternative> {
        let (weight, template) = split_weight(line);
        let mut chars = template.chars().peekable();
        let nodes = self.nodes(&mut chars)?;
        match chars.next() {
            None => Ok(Alternative { weight, nodes }),
            Some(_) => fault(template, "a bracket that closes nothing, or a stray bar"),
        }
    }

    /// A template up to its end, or up to the `|` or `]` that ends a part in brackets.
    fn nodes(&mut self, chars: &mut Peekable<Chars<'_>>) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        let mut text = String::new();
        while let Some(c) = chars.next_if(|&c| c != '|' && c != ']') {
            let node = match c {
                '<' => {
                    let name: String = chars.by_ref().take_while(|&c| c != '>').collect();
                    let Some(&rule) = self.rules.get(&name) else {
                        return fault(name, "unknown rule");
                    };
                    Node::Rule(rule)
                }
                '{' => {
                    let name: String = chars.by_ref().take_while(|&c| c != '}').collect();
                    let (var, field, capital) = self.slot(&name)?;
                    Node::Slot { var, field, capital }
                }
                '[' => self.brackets(chars)?,
                '\\' if chars.next_if_eq(&'n').is_some() => {
                    text.push('\n');
                    continue;
                }
                c => {
                    text.push(c);
                    continue;
                }
            };
            if !text.is_empty() {
                nodes.push(Node::Text(std::mem::take(&mut text)));
            }
            nodes.push(node);
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text));
        }
        Ok(nodes)
    }

    /// The parts in brackets, as a rule without a name.
    fn brackets(&mut self, chars: &mut Peekable<Chars<'_>>) -> Result<Node> {
        let index = self.grammar.rules.len();
        self.grammar.rules.push(Rule::default());
        loop {
            let mut digits = String::new();
            while let Some(c) = chars.next_if(char::is_ascii_digit) {
                digits.push(c);
            }
            let weight = match digits.as_str() {
                "" => 1,
                digits => match (digits.parse(), chars.next_if_eq(&':')) {
                    (Ok(weight), Some(_)) if weight > 0 => weight,
                    _ => return fault(digits, "a weight that is none"),
                },
            };
            let nodes = self.nodes(chars)?;
            self.grammar.rules[index].alternatives.push(Alternative { weight, nodes });
            match chars.next() {
                Some('|') => {}
                Some(']') => return Ok(Node::Rule(index)),
                _ => return fault(digits, "a bracket that is not closed"),
            }
        }
    }
}

/// Splits a weight off the front: `3: text` or `3:text`.
fn split_weight(text: &str) -> (u64, &str) {
    match text.split_once(':') {
        Some((weight, rest)) if weight.parse::<u64>().is_ok_and(|weight| weight > 0) => {
            (weight.parse().unwrap_or(1), rest.trim_start_matches(' '))
        }
        _ => (1, text),
    }
}
