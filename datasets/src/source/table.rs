//! Comma- and tab-separated values: a document for each row.

use csv::ByteRecord;

use super::format::Format;
use super::input::{self, ReadOptions};
use super::{Location, ReadEvent, SourceFile};
use crate::error::{Error, Result};

/// Reads one column: by name, or by one-based number in a file without a header row.
pub(super) fn read(
    file: &SourceFile,
    options: &ReadOptions,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let input = match input::open(file, options) {
        Ok(input) => input,
        Err(error) => return each(ReadEvent::Bad(error)),
    };
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
        Some(number) => number - 1,
        None => match reader.byte_headers() {
            Ok(header) => {
                let names: Vec<_> =
                    header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
                let Some(column) = names.iter().position(|name| *name == file.field) else {
                    return each(ReadEvent::Bad(file.no_field(Location::Line(1), names)));
                };
                column
            }
            Err(error) => return each(ReadEvent::Bad(unreadable(file, error))),
        },
    };
    let mut row = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return each(ReadEvent::Bad(unreadable(file, error))),
        }
        let position = row.position().cloned().unwrap_or_else(csv::Position::new);
        let line = position.line();
        match row.get(column).map(std::str::from_utf8) {
            Some(Ok(text)) => {
                each(ReadEvent::Text(text))?;
                each(ReadEvent::End(Location::Line(line)))?;
            }
            Some(Err(_)) => {
                // Where the row begins: quotes make the place inside it hard to tell.
                let offset = position.byte();
                each(ReadEvent::Bad(Error::NotUtf8 { path: file.path.clone(), line, offset }))?;
            }
            None => {
                let reason = format!("{} columns, but the text is in column {}", row.len(), column + 1);
                let (path, location) = (file.path.clone(), Location::Line(line));
                each(ReadEvent::Bad(Error::Record { path, location, reason }))?;
            }
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
