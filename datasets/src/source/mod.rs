//! Where text comes from: files of many formats, folders of them, standard input, the Rust code on this
//! machine.
//!
//! A [`Source`] is what the user names. [`Source::files`] lists its [`SourceFile`]s in a fixed order, and
//! [`SourceFile::read`] streams the documents of one, so that no file need fit in memory.

mod cargo;
mod format;
#[cfg(feature = "parquet")]
mod guard;
mod input;
mod json;
mod listing;
#[cfg(feature = "parquet")]
mod parquet;
mod python_json;
mod records;
mod rewritten;
mod rows;
mod source_file;
mod spool;
mod table;
mod text;

pub use self::format::{Compression, Format};
pub use self::input::ReadOptions;
pub use self::listing::{CARGO, DEFAULT_FIELD, Source};
pub use self::records::Record;
pub(crate) use self::records::kind;
pub use self::source_file::{ReadEvent, SourceFile};
pub use self::spool::Spool;

#[cfg(test)]
mod tests;
