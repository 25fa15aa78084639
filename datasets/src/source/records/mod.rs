//! Whole records, with all of their fields: what examples for fine-tuning are made of.

mod json;
#[cfg(feature = "parquet")]
mod parquet;
mod record;
mod table;

pub use self::record::Record;
pub(crate) use self::record::kind;

#[cfg(test)]
mod tests;
