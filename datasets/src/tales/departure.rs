//! Why a text is not a tale, in words.

use std::error::Error;
use std::fmt;

/// How many of the expected texts a message lists.
const LISTED: usize = 8;

/// Why a text is not a tale.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// No tale begins with the first `at + 1` bytes of the text, but some do with the first `at`; or the text
    /// is the beginning of a tale and no more, and `at` is its length.
    Departs {
        /// Bytes that agree with a tale.
        at: usize,
        /// The last characters that agree.
        agrees: String,
        /// The characters that follow in the text; empty if it ends too early.
        found: String,
        /// What tales have at that position, sorted; empty if a tale ends there.
        expected: Vec<String>,
    },
    /// The text has several derivations, which is a fault of the grammar.
    Ambiguous {
        /// How many.
        derivations: usize,
    },
}

impl ParseError {
    /// Whether the text is sound as far as it goes: the beginning of a tale, cut off.
    pub fn is_unfinished(&self) -> bool {
        matches!(self, Self::Departs { found, .. } if found.is_empty())
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Departs { at, agrees, found, expected } => {
                write!(f, "not a tale from byte {at} on: after {agrees:?} ")?;
                match found.as_str() {
                    "" => write!(f, "the text ends")?,
                    found => write!(f, "comes {found:?}")?,
                }
                match expected.as_slice() {
                    [] => write!(f, ", where a tale ends"),
                    [one] => write!(f, ", where a tale has {one:?}"),
                    many if many.len() <= LISTED => write!(f, ", where a tale has one of {many:?}"),
                    many => {
                        let (listed, others) = many.split_at(LISTED);
                        write!(f, ", where a tale has one of {listed:?} or {} others", others.len())
                    }
                }
            }
            Self::Ambiguous { derivations } => {
                write!(f, "a tale with {derivations} derivations, a fault of the grammar")
            }
        }
    }
}

impl Error for ParseError {}
