//! Comma- and tab-separated values: a document for each row.

use csv::ByteRecord;

use super::format::Format;
use super::input::Input;
use super::{ReadEvent, SourceFile};
use crate::Location;
use crate::error::{Error, Result};

/// Reads one column: by name, or by one-based number in a file without a header row.
pub(super) fn read(
    file: &SourceFile,
    input: Input,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let tabs = file.format == Format::Tsv;
    let number = file.field.parse::<usize>().ok().filter(|number| *number > 0);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(if tabs { b'\t' } else { b',' })
        // Tab-separated files seldom quote, and then `"` is a character like any other.
        .quoting(!tabs)
        .has_headers(number.is_none())
        .flexible(true)
        .from_reader(input);
    let column = match number {
        Some(number) => Ok(number - 1),
        None => column_named(file, &mut reader),
    };
    let column = match column {
        Ok(column) => column,
        Err(error) => return each(ReadEvent::Bad(error)),
    };
    let mut row = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut row) {
            Ok(true) => give(file, &row, column, each)?,
            Ok(false) => return Ok(()),
            Err(error) => return each(ReadEvent::Bad(unreadable(file, error))),
        }
    }
}

/// Where the header row has the field that holds the text.
fn column_named(file: &SourceFile, reader: &mut csv::Reader<Input>) -> Result<usize> {
    let header = reader.byte_headers().map_err(|error| unreadable(file, error))?;
    let names: Vec<_> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let column = names.iter().position(|name| *name == file.field);
    column.ok_or_else(|| file.no_field(Location::Line(1), names))
}

/// Turns a row into events.
fn give(
    file: &SourceFile,
    row: &ByteRecord,
    column: usize,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let position = row.position().cloned().unwrap_or_else(csv::Position::new);
    let (path, line) = (&file.path, position.line());
    match row.get(column).map(std::str::from_utf8) {
        Some(Ok(text)) => {
            each(ReadEvent::Text(text))?;
            each(ReadEvent::End(Location::Line(line)))
        }
        Some(Err(_)) => {
            // Where the row begins: quotes make the place inside it hard to tell.
            let offset = position.byte();
            each(ReadEvent::Bad(Error::NotUtf8 { path: path.clone(), line, offset }))
        }
        None => {
            let reason = format!("{} columns, but the text is in column {}", row.len(), column + 1);
            let location = Location::Line(line);
            each(ReadEvent::Bad(Error::Record { path: path.clone(), location, reason }))
        }
    }
}

fn unreadable(file: &SourceFile, error: csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::io(&file.path)(error),
        kind => Error::Record {
            path: file.path.clone(),
            location: Location::Line(line),
            reason: format!("not a table: {kind:?}"),
        },
    }
}
