//! What can be wrong with an example.

use std::fmt;

use super::Form;
use crate::wording::listed;

/// Why an example cannot be learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// The file is plain text, which has no records.
    NoRecords,
    /// There is no example.
    NoExamples,
    /// A labelled text without one of its two columns.
    NoColumn {
        /// What the column would hold: `text` or `label`.
        of: &'static str,
        /// The column that is asked for.
        column: String,
        /// Those that are there.
        names: Vec<String>,
    },
    /// A key whose value is not what it should be.
    Value {
        /// The key, as a path: `messages[2].role`.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// All training texts have the same label.
    OneClass {
        /// The label.
        label: String,
    },
    /// A label that no training text has.
    UnknownLabel {
        /// The label.
        label: String,
        /// Those of the training texts.
        known: Vec<String>,
    },
    /// Keys that make no form of example.
    UnknownKeys {
        /// The keys.
        found: Vec<String>,
    },
    /// An example of another form than those before it.
    Mixed {
        /// The form of the first.
        first: Form,
        /// That of this one.
        found: Form,
    },
    /// An example of a form that serves another purpose.
    OtherForm {
        /// What is expected: `conversations` or `preferences`.
        expected: &'static str,
        /// What it is.
        found: Form,
    },
    /// An answer to learn is empty.
    EmptyAnswer,
    /// No token is learned: there is no answer, or each has the weight 0.
    NothingTrained,
    /// The template refuses the conversation, or cannot tell where its answers are.
    Template {
        /// The template.
        template: String,
        /// What it says.
        reason: String,
    },
    /// The tokenizer has no token that could end an answer.
    NoTurnEnd {
        /// The tokenizer.
        tokenizer: String,
    },
    /// Most prompts leave no room for an answer. It stands at the first.
    PromptTooLong {
        /// Tokens of this prompt.
        tokens: usize,
        /// Tokens that a model reads at most.
        context_length: usize,
        /// Examples like this one.
        dropped: usize,
        /// All examples.
        examples: usize,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecords => f.write_str("plain text, which has no records"),
            Self::NoExamples => f.write_str("there is no example in it"),
            Self::NoColumn { of, column, names } => {
                write!(f, "no column `{column}`, which would hold the {of}; there is {}", listed(names))
            }
            Self::Value { key, reason } => write!(f, "`{key}`: {reason}"),
            Self::OneClass { label } => {
                write!(f, "all training texts have the label {label:?}, and two classes are the least")
            }
            Self::UnknownLabel { label, known } => {
                write!(f, "label {label:?}, which no training text has; they have {}", listed(known))
            }
            Self::UnknownKeys { found } => {
                write!(f, "keys that make no known form of example: {}", listed(found))
            }
            Self::Mixed { first, found } => write!(f, "{found}, but the examples before it are {first}"),
            Self::OtherForm { expected, found } => write!(f, "{found}, not {expected}"),
            Self::EmptyAnswer => f.write_str("an answer that is to be learned is empty"),
            Self::NothingTrained => f.write_str("nothing to learn: no answer, or none with a weight"),
            Self::Template { template, reason } => write!(f, "the template {template} refuses it: {reason}"),
            Self::NoTurnEnd { tokenizer } => {
                write!(f, "the tokenizer {tokenizer} has no token that could end an answer")
            }
            Self::PromptTooLong { tokens, context_length, dropped, examples } => write!(
                f,
                "the prompt has {tokens} tokens, which fills the context of {context_length}; so it is with {dropped} of \
                 {examples} examples"
            ),
        }
    }
}
