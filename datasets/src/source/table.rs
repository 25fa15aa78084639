//! Comma- and tab-separated values: a document for each row.

use super::format::Format;
use super::input::Input;
use super::rows::{BadRow, Row, Rows};
use super::{ReadEvent, SourceFile};
use crate::Location;
use crate::error::{Error, Result};

/// Reads one column: by name, or by one-based number in a file without a header row.
pub(super) fn read(
    file: &SourceFile,
    input: Input,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let (delimiter, quoting) = syntax(file.format);
    let mut rows = Rows::new(input.bytes, delimiter, quoting, input.offset);
    let (mut first, mut second) = (Row::default(), Row::default());
    let has_second = match rows.read(&mut first) {
        Ok(false) => return Ok(()),
        Ok(true) => rows.read(&mut second),
        Err(error) => return each(ReadEvent::Bad(unreadable(file, error))),
    };
    let column = match column(file, &first, &second) {
        Ok(column) => column,
        Err(error) => return each(ReadEvent::Bad(error)),
    };
    let table = Table { file, column: column.index(), columns: first.len(), first_line: first.line };
    if let Column::Numbered(_) = column {
        table.give(&first, each)?;
    }
    let mut outcome = has_second;
    loop {
        match outcome {
            Ok(true) => table.give(&second, each)?,
            Ok(false) => return Ok(()),
            Err(error @ BadRow::Io(_)) => return each(ReadEvent::Bad(unreadable(file, error))),
            Err(error) => each(ReadEvent::Bad(unreadable(file, error)))?,
        }
        outcome = rows.read(&mut second);
    }
}

/// What separates the fields of a table, and whether `"` encloses them: tab-separated files seldom quote, and then it is
/// a character like any other.
pub(super) fn syntax(format: Format) -> (u8, bool) {
    if format == Format::Tsv { (b'\t', false) } else { (b',', true) }
}

/// The column that holds the text, from 0 on.
#[derive(Clone, Copy)]
enum Column {
    /// The header row has its name.
    Named(usize),
    /// There is no header row.
    Numbered(usize),
}

impl Column {
    fn index(self) -> usize {
        match self {
            Self::Named(index) | Self::Numbered(index) => index,
        }
    }
}

/// Finds the column. A number that the first row holds, too, may be a name there: it is, unless there are numbers
/// below it, which are no text.
fn column(file: &SourceFile, first: &Row, second: &Row) -> Result<Column> {
    let mut named = (0..).zip(first.iter()).filter(|(_, name)| *name == file.field.as_bytes());
    let (named, another) = (named.next().map(|(index, _)| index), named.next());
    if let (Some(index), Some((other, _))) = (named, another) {
        let reason = format!("columns {} and {} are both called `{}`", index + 1, other + 1, file.field);
        return Err(Error::Record { path: file.path.clone(), location: Location::Line(first.line), reason });
    }
    let number = file.field.parse::<usize>().ok().filter(|number| *number > 0);
    let is_number =
        |field: &[u8]| std::str::from_utf8(field).is_ok_and(|text| text.trim().parse::<f64>().is_ok());
    match (named, number) {
        (Some(index), None) => Ok(Column::Named(index)),
        (Some(index), Some(_)) if second.get(index).is_some_and(|below| !is_number(below)) => {
            Ok(Column::Named(index))
        }
        (_, Some(number)) => Ok(Column::Numbered(number - 1)),
        (None, None) => {
            let names = first.iter().map(|name| String::from_utf8_lossy(name).into_owned());
            Err(file.no_field(Location::Line(first.line), names.collect()))
        }
    }
}

struct Table<'a> {
    file: &'a SourceFile,
    column: usize,
    /// Columns of the first row, and its line.
    columns: usize,
    first_line: u64,
}

impl Table<'_> {
    /// Turns a row into events.
    fn give(&self, row: &Row, each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>) -> Result<()> {
        let location = Location::Line(row.line);
        let refuse = |reason| Error::Record { path: self.file.path.clone(), location, reason };
        let found = row.len();
        if found != self.columns {
            // A delimiter in a text without quotes: the rest of the text would be lost.
            let reason = format!("{found} columns, but line {} has {}", self.first_line, self.columns);
            return each(ReadEvent::Bad(refuse(reason)));
        }
        let Some(text) = row.get(self.column) else {
            let reason = format!("{found} columns, but the text is in column {}", self.column + 1);
            return each(ReadEvent::Bad(refuse(reason)));
        };
        match std::str::from_utf8(text) {
            Ok(text) => {
                each(ReadEvent::Text(text))?;
                each(ReadEvent::End(location))
            }
            Err(_) => {
                // Where the row begins: quotes make the place inside it hard to tell.
                let (path, line, offset) = (self.file.path.clone(), row.line, row.offset);
                each(ReadEvent::Bad(Error::NotUtf8 { path, line, offset }))
            }
        }
    }
}

pub(super) fn unreadable(file: &SourceFile, error: BadRow) -> Error {
    match error {
        BadRow::Io(error) => Error::io(&file.path)(error),
        BadRow::Quote { line, reason } => {
            Error::Record { path: file.path.clone(), location: Location::Line(line), reason }
        }
    }
}
