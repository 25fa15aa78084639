//! Parquet: a document for each value of one column.

use std::fs::File;
use std::sync::atomic::Ordering;

use parquet::basic::{LogicalType, Type};
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::format::Compression;
use super::input::ReadOptions;
use super::{ReadEvent, SourceFile, guard};
use crate::Location;
use crate::error::{Error, Result};

/// Values that are decoded together.
const VALUES: usize = 256;

/// A file whose column of text is known.
pub(super) struct Table {
    reader: SerializedFileReader<File>,
    column: usize,
}

impl Table {
    /// Reads the column, a few values at a time.
    pub(super) fn read(
        &self,
        file: &SourceFile,
        options: &ReadOptions,
        each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut records = 0;
        match read_column(file, options, self, &mut records, each) {
            Ok(()) => Ok(()),
            Err(Stop::Receiver(error)) => Err(error),
            Err(Stop::File(reason)) => each(ReadEvent::Bad(Error::Record {
                path: file.path.clone(),
                location: Location::Record(records + 1),
                reason,
            })),
        }
    }
}

/// Why reading ended early.
enum Stop {
    /// The receiver wants no more.
    Receiver(Error),
    /// The file is damaged.
    File(String),
}

pub(super) fn open(file: &SourceFile) -> Result<Table> {
    let refuse = |reason: String| Error::format(&file.path, reason);
    let opened = uncompressed(file)?;
    let reader = guarded(|| SerializedFileReader::new(opened))
        .map_err(|error| refuse(format!("not a Parquet file: {error}")))?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    let is_within = |name: &String| name.strip_prefix(&file.field).is_some_and(|rest| rest.starts_with('.'));
    let Some(column) = names.iter().position(|name| *name == file.field) else {
        return Err(match names.iter().position(is_within) {
            Some(column) => refuse(not_text(&file.field, &schema.column(column))),
            None => file.no_field(Location::File, names),
        });
    };
    let description = schema.column(column);
    let is_text = description.physical_type() == Type::BYTE_ARRAY && description.max_rep_level() == 0;
    if !is_text && !is_void(&description) {
        return Err(refuse(not_text(&file.field, &description)));
    }
    Ok(Table { reader, column })
}

/// Opens a file that is not packed as a whole.
pub(super) fn uncompressed(file: &SourceFile) -> Result<File> {
    if file.compression != Compression::None {
        return Err(Error::CompressedParquet { path: file.path.clone() });
    }
    file.open().map_err(Error::io(&file.path))
}

/// Whether a column was written without a single value, so that its type is not known.
fn is_void(column: &ColumnDescriptor) -> bool {
    matches!(column.logical_type_ref(), Some(LogicalType::Unknown))
}

fn not_text(field: &str, column: &ColumnDescriptor) -> String {
    let holds = match column.max_rep_level() {
        0 if column.path().parts().len() > 1 => "values of several parts",
        0 => "values that are no strings",
        _ => "lists",
    };
    format!("column `{field}` holds {holds} (`{}`), not one string a row", column.path().string())
}

fn read_column(
    file: &SourceFile,
    options: &ReadOptions,
    Table { reader, column }: &Table,
    records: &mut u64,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<(), Stop> {
    let damaged = |error: ParquetError| Stop::File(format!("damaged Parquet data: {error}"));
    let groups = reader.num_row_groups();
    let mut counted = 0;
    for group in 0..groups {
        let row_group = guarded(|| reader.get_row_group(group)).map_err(damaged)?;
        let description = row_group.metadata().column(*column).column_descr();
        if is_void(description) {
            continue;
        }
        let defined = description.max_def_level();
        let ColumnReader::ByteArrayColumnReader(mut values) =
            guarded(|| row_group.get_column_reader(*column)).map_err(damaged)?
        else {
            return Err(Stop::File("the column does not hold strings".into()));
        };
        let (mut levels, mut batch): (Vec<i16>, Vec<ByteArray>) = (Vec::new(), Vec::new());
        loop {
            levels.clear();
            batch.clear();
            let (read, ..) = guarded(|| values.read_records(VALUES, Some(&mut levels), None, &mut batch))
                .map_err(damaged)?;
            if read == 0 {
                break;
            }
            let mut texts = batch.iter();
            for row in 0..read {
                *records += 1;
                // A null is a document without text. A column that has none comes without levels.
                if levels.get(row).is_some_and(|level| *level < defined) {
                    each(ReadEvent::End(Location::Record(*records))).map_err(Stop::Receiver)?;
                    continue;
                }
                let Some(text) = texts.next() else {
                    return Err(Stop::File("damaged Parquet data: a value is missing".into()));
                };
                give(file, options, *records, text.data(), each).map_err(Stop::Receiver)?;
            }
        }
        let bytes = file.size * (group as u64 + 1) / groups as u64;
        options.bytes_read.fetch_add(bytes - counted, Ordering::Relaxed);
        counted = bytes;
    }
    Ok(())
}

/// Runs a call of the library.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    guard::guarded(call)
        .unwrap_or_else(|| Err(ParquetError::General("its lengths contradict each other".into())))
}

fn give(
    file: &SourceFile,
    options: &ReadOptions,
    record: u64,
    bytes: &[u8],
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let location = Location::Record(record);
    match std::str::from_utf8(bytes) {
        Ok(text) => each(ReadEvent::Text(text))?,
        Err(_) if options.lossy => each(ReadEvent::Text(&String::from_utf8_lossy(bytes)))?,
        Err(error) => {
            let reason = format!("byte {} of the text is not UTF-8", error.valid_up_to());
            return each(ReadEvent::Bad(Error::Record { path: file.path.clone(), location, reason }));
        }
    }
    each(ReadEvent::End(location))
}
