//! Records of Parquet: one for each row, lists and parts included.

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value, json};

use super::Record;
use crate::Location;
use crate::error::{Error, Result};
use crate::source::SourceFile;
use crate::source::parquet::{guarded, uncompressed};

/// Reads every column.
pub(super) fn read(file: &SourceFile, each: &mut dyn FnMut(Record) -> Result<()>) -> Result<()> {
    let opened = uncompressed(file)?;
    let refuse = |error: ParquetError| Error::format(&file.path, format!("not a Parquet file: {error}"));
    let reader = guarded(|| SerializedFileReader::new(opened)).map_err(refuse)?;
    let mut rows = guarded(|| reader.get_row_iter(None)).map_err(refuse)?;
    for number in 1.. {
        let location = Location::Record(number);
        let damaged = |error: ParquetError| Error::Record {
            path: file.path.clone(),
            location,
            reason: format!("damaged Parquet data: {error}"),
        };
        let Some(row) = guarded(|| rows.next().transpose()).map_err(damaged)? else { break };
        each(Record { location, fields: fields(&row) })?;
    }
    Ok(())
}

fn fields(row: &Row) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
}

/// A value as JSON has it; what JSON does not have becomes a string.
fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Byte(value) => json!(value),
        Field::Short(value) => json!(value),
        Field::Int(value) => json!(value),
        Field::Long(value) => json!(value),
        Field::UByte(value) => json!(value),
        Field::UShort(value) => json!(value),
        Field::UInt(value) => json!(value),
        Field::ULong(value) => json!(value),
        Field::Float(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(value) => json!(value),
        Field::Bytes(bytes) => json!(String::from_utf8_lossy(bytes.data())),
        Field::Group(row) => Value::Object(fields(row)),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(name, field)| (name_of(name), value(field)));
            Value::Object(entries.collect())
        }
        other => json!(other.to_string()),
    }
}

fn name_of(field: &Field) -> String {
    match field {
        Field::Str(name) => name.clone(),
        other => other.to_string(),
    }
}
