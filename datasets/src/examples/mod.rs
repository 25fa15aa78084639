//! Examples for fine-tuning: labelled texts, conversations, and pairs of answers.
//!
//! 1. [`Labelled::read`] and [`Conversations::read`] read them from a [`Source`](crate::Source), whatever its
//!    [`Form`], and say which file and line is wrong.
//! 2. [`Split`] divides them, [`balanced`] draws as many of each class.

mod balance;
mod conversation;
mod conversations;
mod fields;
mod flaw;
mod form;
mod labelled;
mod labels;
mod provenance;
mod records;
mod split;

pub use self::balance::balanced;
pub use self::conversation::{Conversation, Message, Role};
pub use self::conversations::Conversations;
pub use self::flaw::Flaw;
pub use self::form::Form;
pub use self::labelled::{LabelColumns, Labelled};
pub use self::labels::Labels;
pub use self::provenance::Provenance;
pub use self::split::{Split, SplitExamples};

#[cfg(test)]
mod tests;
