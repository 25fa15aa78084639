//! A record, and the records of a file.

use serde_json::{Map, Value};

#[cfg(feature = "parquet")]
use super::parquet;
use super::{json, table};
use crate::Location;
use crate::error::{Error, Result};
use crate::examples::{Flaw, Provenance};
use crate::source::{DEFAULT_FIELD, Format, ReadOptions, SourceFile, input};

/// A JSON object, or a row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Where it begins.
    pub location: Location,
    /// Its keys or columns, in their order. A JSON string is a record with the field [`DEFAULT_FIELD`].
    pub fields: Map<String, Value>,
}

impl SourceFile {
    /// Reads the records, one after the other. `header`: the first row of a CSV or TSV file has the names of the
    /// columns; without it they are called 1, 2, …
    ///
    /// # Errors
    ///
    /// What is wrong with the file or a record of it, a plain text file among that, and what `each` returns.
    pub fn records(
        &self,
        options: &ReadOptions,
        header: bool,
        each: &mut dyn FnMut(Record) -> Result<()>,
    ) -> Result<()> {
        let open = || input::open(self, options);
        match self.format {
            Format::Text => Err(Provenance::of_file(&self.path).error(Flaw::NoRecords)),
            Format::Jsonl => json::read_lines(self, open()?, options, each),
            Format::Json => json::read_values(self, open()?, options, each),
            Format::Csv | Format::Tsv => table::read(self, open()?, header, each),
            #[cfg(feature = "parquet")]
            Format::Parquet => parquet::read(self, each),
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => {
                Err(Error::format(&self.path, "reading Parquet needs the feature `parquet` of kiln-datasets"))
            }
        }
    }

    /// The record of a JSON value.
    pub(super) fn record(&self, location: Location, value: Value) -> Result<Record> {
        let fields = match value {
            Value::Object(fields) => fields,
            Value::String(text) => Map::from_iter([(DEFAULT_FIELD.to_owned(), Value::String(text))]),
            other => {
                let (path, found) = (self.path.clone(), kind(&other));
                return Err(Error::Record { path, location, reason: format!("{found}, not an object") });
            }
        };
        Ok(Record { location, fields })
    }
}

/// What a value is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
