//! From the written form of a grammar to [`Grammar`].
//!
//! A source is a list of blocks. A line that begins in the first column opens a block, indented lines belong
//! to it; empty lines and lines that begin with `#` say nothing.
//!
//! ```text
//! words colour: red, green, blue         a table with one field, and a rule `colour` that draws from it
//! table child: name, he, him             a table; each row lists its fields
//!   Tom | he | him
//! var hero: child                        remembers a row of `child`
//! var friend: child unlike hero.he       … whose field `he` differs from that of `hero`, whichever is drawn first
//! rule end                               alternatives, one a line, of weight 1 or what stands in front
//!   3: They all [laughed|sang] and
//!   + went home.                         continues the line above after a space; `&` continues without one
//!   {friend.He} kissed {hero}.
//! ```
//!
//! In a template `<rule>` expands a rule, `{var.field}` writes a field of the remembered row (`{var}` its
//! first field, `{var.Field}` with a capital letter), `[a|3:b|]` draws one of the parts, and `\n` is a line
//! feed.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use super::grammar::{Field, Grammar, Rule, Table, Variable};

/// A fault in the source of a grammar.
#[derive(Debug)]
pub(super) struct GrammarError {
    /// The line or part of it that is at fault.
    text: String,
    /// What is wrong.
    fault: &'static str,
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.fault, self.text)
    }
}

impl Error for GrammarError {}

/// What compiling comes to.
pub(super) type Result<T> = std::result::Result<T, GrammarError>;

/// An error about `text`.
pub(super) fn fault<T>(text: impl Into<String>, fault: &'static str) -> Result<T> {
    Err(GrammarError { text: text.into(), fault })
}

/// Compiles a source; its first rule is the story.
pub(super) fn compile(source: &str) -> Result<Grammar> {
    let mut compiler = Compiler::default();
    let blocks = blocks(source)?;
    let is_rule = |block: &&Block<'_>| block.keyword == "rule";
    for block in blocks.iter().filter(is_rule) {
        compiler.rule_named(block.name)?;
    }
    for block in &blocks {
        match block.keyword {
            "words" => compiler.words(block)?,
            "table" => compiler.table(block)?,
            "var" => compiler.variable(block)?,
            "rule" => {}
            _ => return fault(block.keyword, "unknown keyword"),
        }
    }
    for block in blocks.iter().filter(is_rule) {
        let rule = compiler.rules[block.name];
        for line in &block.lines {
            let alternative = compiler.alternative(line)?;
            compiler.grammar.rules[rule].alternatives.push(alternative);
        }
    }
    match compiler.grammar.rules.iter().all(|rule| !rule.alternatives.is_empty()) {
        true => Ok(compiler.grammar),
        false => fault(source.lines().next().unwrap_or_default(), "a rule without alternatives"),
    }
}

/// A line in the first column and the lines that belong to it.
struct Block<'s> {
    keyword: &'s str,
    name: &'s str,
    head: &'s str,
    lines: Vec<String>,
}

/// Cuts a source into blocks.
fn blocks(source: &str) -> Result<Vec<Block<'_>>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in source.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if !line.is_ascii() {
            return fault(line, "a letter that is not ASCII");
        }
        if !line.starts_with(' ') {
            let Some((keyword, rest)) = line.split_once(' ') else {
                return fault(line, "no name");
            };
            let (name, head) = rest.split_once(':').unwrap_or((rest, ""));
            blocks.push(Block { keyword, name: name.trim(), head: head.trim(), lines: Vec::new() });
            continue;
        }
        let Some(block) = blocks.last_mut() else {
            return fault(line, "an indented line before any block");
        };
        let line = line.trim();
        match (line.strip_prefix("+ "), line.strip_prefix("& "), block.lines.last_mut()) {
            (Some(more), _, Some(last)) => *last = format!("{last} {more}"),
            (_, Some(more), Some(last)) => last.push_str(more),
            _ => block.lines.push(line.to_owned()),
        }
    }
    Ok(blocks)
}

/// A grammar in the making and the names used in it.
#[derive(Default)]
pub(super) struct Compiler {
    pub(super) grammar: Grammar,
    pub(super) rules: HashMap<String, usize>,
    tables: HashMap<String, usize>,
    variables: HashMap<String, usize>,
}

impl Compiler {
    /// A new rule with a name of its own.
    fn rule_named(&mut self, name: &str) -> Result<usize> {
        let index = self.grammar.rules.len();
        self.grammar.rules.push(Rule::default());
        match self.rules.insert(name.to_owned(), index) {
            None => Ok(index),
            Some(_) => fault(name, "two rules of that name"),
        }
    }

    /// `words name: a, b, c`, also on further lines.
    fn words(&mut self, block: &Block<'_>) -> Result<()> {
        let words: Vec<&str> = std::iter::once(block.head)
            .chain(block.lines.iter().map(String::as_str))
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        let rule = self.rule_named(block.name)?;
        for word in &words {
            let alternative = self.alternative(word)?;
            self.grammar.rules[rule].alternatives.push(alternative);
        }
        let rows = words.iter().map(|word| vec![field(word)]).collect();
        self.add_table(block.name, vec!["word".to_owned()], rows)
    }

    /// `table name: field, field` and one row a line.
    fn table(&mut self, block: &Block<'_>) -> Result<()> {
        let fields: Vec<String> = block.head.split(',').map(|name| name.trim().to_owned()).collect();
        let mut rows = Vec::new();
        for line in &block.lines {
            let row: Vec<Field> = line.split('|').map(|text| field(text.trim())).collect();
            if row.len() != fields.len() {
                return fault(line, "wrong number of fields");
            }
            rows.push(row);
        }
        self.add_table(block.name, fields, rows)
    }

    fn add_table(&mut self, name: &str, fields: Vec<String>, rows: Vec<Vec<Field>>) -> Result<()> {
        let index = self.grammar.tables.len();
        self.grammar.tables.push(Table { fields, rows });
        match self.tables.insert(name.to_owned(), index) {
            None => Ok(()),
            Some(_) => fault(name, "two tables of that name"),
        }
    }

    /// `var name: table` and any number of ` unlike other.field`.
    fn variable(&mut self, block: &Block<'_>) -> Result<()> {
        let mut parts = block.head.split(" unlike ").map(str::trim);
        let table_name = parts.next().unwrap_or_default();
        let Some(&table) = self.tables.get(table_name) else {
            return fault(block.head, "unknown table");
        };
        let mut unlike = Vec::new();
        for part in parts {
            let (var, field, _) = self.slot(part)?;
            let other_table = self.grammar.variables[var].table;
            let name = &self.grammar.tables[other_table].fields[field];
            let Some(own) = self.grammar.tables[table].fields.iter().position(|own| own == name) else {
                return fault(part, "no such field in the table of the variable");
            };
            unlike.push((var, field, own));
        }
        let index = self.grammar.variables.len();
        for &(other, other_field, own_field) in &unlike {
            let back = (index, own_field, other_field);
            self.grammar.variables[other].unlike.push(back);
        }
        self.grammar.variables.push(Variable { table, unlike });
        match self.variables.insert(block.name.to_owned(), index) {
            None => Ok(()),
            Some(_) => fault(block.name, "two variables of that name"),
        }
    }

    /// Variable, field and capital of what stands between braces.
    pub(super) fn slot(&self, text: &str) -> Result<(usize, usize, bool)> {
        let (name, field) = text.split_once('.').unwrap_or((text, ""));
        let Some(&var) = self.variables.get(name) else {
            return fault(text, "unknown variable");
        };
        let fields = &self.grammar.tables[self.grammar.variables[var].table].fields;
        let is_it = |own: &String| own.eq_ignore_ascii_case(field);
        match fields.iter().position(is_it) {
            Some(index) => Ok((var, index, field.starts_with(|c: char| c.is_ascii_uppercase()))),
            None if field.is_empty() => Ok((var, 0, false)),
            None => fault(text, "unknown field"),
        }
    }
}

/// A field in both its forms.
fn field(text: &str) -> Field {
    let mut capital = text.to_owned();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Field { plain: text.to_owned(), capital }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse_with;
    use super::super::tell::Teller;
    use super::*;

    const SOURCE: &str = "\
rule story
  2: {hero.He} saw {friend} and {friend.he}
  + <did>.
words did: ran, hid
table child: name, he
  Tom | he
  Ann | she
  Eve | she
var hero: child
var friend: child unlike hero.he
";

    #[test]
    fn blocks_templates_and_slots_compile() {
        let grammar = compile(SOURCE).unwrap();
        let mut teller = Teller::new(&grammar, 1);
        let mut texts: Vec<String> = (0..200).map(|_| teller.draw().text).collect();
        texts.sort();
        texts.dedup();
        let expected = [
            "He saw Ann and she hid.",
            "He saw Ann and she ran.",
            "He saw Eve and she hid.",
            "He saw Eve and she ran.",
            "She saw Tom and he hid.",
            "She saw Tom and he ran.",
        ];
        assert_eq!(texts, expected);
        // "She" may be Ann or Eve, who is never named: the parser finds both.
        assert!(parse_with(&grammar, expected[0]).is_ok());
        assert_eq!(
            parse_with(&grammar, expected[4]).unwrap_err().to_string(),
            "a tale with 2 derivations, a fault of the grammar"
        );
    }

    #[test]
    fn faults_are_named() {
        for (source, message) in [
            ("rule story\n  a <b>\n", "unknown rule in \"b\""),
            ("rule story\n  a {b}\n", "unknown variable in \"b\""),
            ("rule story\n  a [b|c\n", "a bracket that is not closed in \"\""),
            ("rule story\n  a]\n", "a bracket that closes nothing, or a stray bar in \"a]\""),
            ("rule story\n", "a rule without alternatives in \"rule story\""),
            ("  a\n", "an indented line before any block in \"  a\""),
            ("table t: a, b\n  x\n", "wrong number of fields in \"x\""),
            ("words w: a\nvar v: u\n", "unknown table in \"u\""),
            ("tree t: a\n", "unknown keyword in \"tree\""),
        ] {
            assert_eq!(compile(source).unwrap_err().to_string(), message);
        }
    }
}
