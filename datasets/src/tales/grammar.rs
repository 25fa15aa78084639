//! The grammar as the teller and the parser see it: rules, tables and slots.
//!
//! Both walk the same [`Node`]s and ask [`Grammar::step`] what there is to choose from, so what is told and
//! what is recognised cannot drift apart.

use std::sync::LazyLock;

use super::compile::compile;

/// The sources of the embedded grammar, in the order in which they are read.
pub(super) const SOURCES: [&str; 4] = [
    include_str!("words.txt"),
    include_str!("scenes.txt"),
    include_str!("plots_1.txt"),
    include_str!("plots_2.txt"),
];

/// The embedded grammar; compiled once.
pub(super) static TALES: LazyLock<Grammar> =
    LazyLock::new(|| compile(&SOURCES.concat()).expect("the embedded grammar compiles; a test sees to it"));

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Text that stands as it is.
    Text(String),
    /// One alternative of a rule (by index), drawn afresh each time.
    Rule(usize),
    /// A field of the table row to which a variable is bound; the first slot of a variable draws the row.
    Slot {
        /// Index of the variable.
        var: usize,
        /// Index of the field in the rows of its table.
        field: usize,
        /// Whether the first letter is a capital.
        capital: bool,
    },
}

/// One way to expand a rule.
#[derive(Debug, Clone)]
pub(super) struct Alternative {
    /// Its share of the draw: the probability is `weight` / sum of the weights of the rule.
    pub(super) weight: u64,
    /// What it expands to.
    pub(super) nodes: Vec<Node>,
}

/// Weighted alternatives.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// The ways to expand it, at least one.
    pub(super) alternatives: Vec<Alternative>,
}

/// A text as it stands within a sentence and at the start of one.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// As written in the table.
    pub(super) plain: String,
    /// With a capital first letter.
    pub(super) capital: String,
}

/// Rows of fields that belong together, such as a name and its pronouns.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// The names of the fields.
    pub(super) fields: Vec<String>,
    /// The rows, all of which have the same weight.
    pub(super) rows: Vec<Vec<Field>>,
}

/// Something that a story remembers: a row of a table.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    /// Index of the table from which it is drawn.
    pub(super) table: usize,
    /// `(variable, its field, own field)`: rows whose own field equals that of the other variable, if that is
    /// bound, are not drawn.
    pub(super) unlike: Vec<(usize, usize, usize)>,
}

/// The state of a story: for each variable the row to which it is bound.
pub(super) type State = Vec<Option<usize>>;

/// What a node asks for in a given state.
#[derive(Debug)]
pub(super) enum Step<'g> {
    /// Text, with no choice about it.
    Text(&'g str),
    /// A draw among the alternatives of a rule.
    Expand(&'g Rule),
    /// A draw among rows (by index, equal weights) to which the variable is then bound.
    Bind(usize, Vec<usize>),
}

/// Rules, tables and variables; rule 0 is the story.
#[derive(Debug, Clone, Default)]
pub(super) struct Grammar {
    /// All rules.
    pub(super) rules: Vec<Rule>,
    /// All tables.
    pub(super) tables: Vec<Table>,
    /// All variables.
    pub(super) variables: Vec<Variable>,
}

impl Grammar {
    /// The state in which each story begins: nothing is bound.
    pub(super) fn start(&self) -> State {
        vec![None; self.variables.len()]
    }

    /// What `node` asks for in `state`.
    pub(super) fn step<'g>(&'g self, node: &'g Node, state: &State) -> Step<'g> {
        match *node {
            Node::Text(ref text) => Step::Text(text),
            Node::Rule(rule) => Step::Expand(&self.rules[rule]),
            Node::Slot { var, field, capital } => match state[var] {
                Some(row) => {
                    let field = &self.tables[self.variables[var].table].rows[row][field];
                    Step::Text(if capital { &field.capital } else { &field.plain })
                }
                None => Step::Bind(var, self.open_rows(var, state)),
            },
        }
    }

    /// What a slot says, row by row of its table; of other nodes, nothing.
    pub(super) fn texts(&self, node: &Node) -> impl Iterator<Item = &str> {
        let slot = match *node {
            Node::Slot { var, field, capital } => {
                Some((&self.tables[self.variables[var].table], field, capital))
            }
            Node::Text(_) | Node::Rule(_) => None,
        };
        slot.into_iter().flat_map(|(table, field, capital)| {
            table.rows.iter().map(move |row| if capital { &*row[field].capital } else { &*row[field].plain })
        })
    }

    /// The rows to which `var` may be bound in `state`.
    fn open_rows(&self, var: usize, state: &State) -> Vec<usize> {
        let Variable { table, unlike } = &self.variables[var];
        let rows = &self.tables[*table].rows;
        let is_open = |row: &usize| {
            unlike.iter().all(|&(other, other_field, own_field)| {
                state[other].is_none_or(|other_row| {
                    let other_rows = &self.tables[self.variables[other].table].rows;
                    rows[*row][own_field].plain != other_rows[other_row][other_field].plain
                })
            })
        };
        (0..rows.len()).filter(is_open).collect()
    }
}

impl Rule {
    /// The sum of the weights.
    pub(super) fn total(&self) -> u64 {
        self.alternatives.iter().map(|alternative| alternative.weight).sum()
    }
}

/// `−ln(weight / total)`, the nats of one draw.
pub(super) fn nats(weight: u64, total: u64) -> f64 {
    (total as f64 / weight as f64).ln()
}
