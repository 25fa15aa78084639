//! Examples for fine-tuning: labelled texts, conversations, and pairs of answers.
//!
//! 1. [`Labelled::read`] and [`Conversations::read`] read them from a [`Source`](crate::Source), whatever its
//!    [`Form`], and say which file and line is wrong.
//! 2. [`Split`] divides them, [`balanced`] draws as many of each class, and [`Labels`] numbers the classes.
//! 3. An [`ExampleEncoder`] makes tokens of conversations and [`Preferences`] with a [`Template`], and says which of them
//!    are learned. What is to be continued takes the same way. [`shown()`] shows what is learned.

mod balance;
mod conversation;
mod conversations;
mod encoded;
mod encoder;
mod fields;
mod fitting;
mod flaw;
mod form;
mod labelled;
mod labels;
mod preferences;
mod provenance;
mod records;
mod shown;
mod split;
mod template;

pub use self::balance::balanced;
pub use self::conversation::{Conversation, Message, Role};
pub use self::conversations::Conversations;
pub use self::encoded::{Encoded, EncodedExamples, EncodedPair};
pub use self::encoder::ExampleEncoder;
pub use self::flaw::Flaw;
pub use self::form::Form;
pub use self::labelled::{LabelColumns, Labelled};
pub use self::labels::Labels;
pub use self::preferences::{Preference, Preferences};
pub use self::provenance::Provenance;
pub use self::shown::shown;
pub use self::split::{Split, SplitExamples};
pub use self::template::{ChatTemplate, Template};

#[cfg(test)]
mod tests;
