//! Records of comma- and tab-separated values: one for each row.

use serde_json::{Map, Value};

use super::Record;
use crate::Location;
use crate::error::{Error, Result};
use crate::source::SourceFile;
use crate::source::input::Input;
use crate::source::rows::{Row, Rows};
use crate::source::table::{syntax, unreadable};

/// Reads every column as text.
pub(super) fn read(
    file: &SourceFile,
    input: Input,
    header: bool,
    each: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    let (delimiter, quoting) = syntax(file.format);
    let mut rows = Rows::new(input.bytes, delimiter, quoting, input.offset);
    let mut row = Row::default();
    let mut next = |row: &mut Row| rows.read(row).map_err(|error| unreadable(file, error));
    if !next(&mut row)? {
        return Ok(());
    }
    let (names, first_line) = (names(file, &row, header)?, row.line);
    let mut more = if header { next(&mut row)? } else { true };
    while more {
        each(record(file, &row, &names, first_line)?)?;
        more = next(&mut row)?;
    }
    Ok(())
}

/// What the columns are called.
fn names(file: &SourceFile, first: &Row, header: bool) -> Result<Vec<String>> {
    if !header {
        return Ok((1..=first.len()).map(|number| number.to_string()).collect());
    }
    let mut names: Vec<String> = Vec::with_capacity(first.len());
    for field in first.iter() {
        let name = text(file, first, field)?;
        if let Some(other) = names.iter().position(|known| *known == name) {
            let reason = format!("columns {} and {} are both called `{name}`", other + 1, names.len() + 1);
            let location = Location::Line(first.line);
            return Err(Error::Record { path: file.path.clone(), location, reason });
        }
        names.push(name);
    }
    Ok(names)
}

fn record(file: &SourceFile, row: &Row, names: &[String], first_line: u64) -> Result<Record> {
    let location = Location::Line(row.line);
    if row.len() != names.len() {
        // A delimiter in a text without quotes: the rest of the text would be lost.
        let reason = format!("{} columns, but line {first_line} has {}", row.len(), names.len());
        return Err(Error::Record { path: file.path.clone(), location, reason });
    }
    let fields = names.iter().zip(row.iter());
    let fields = fields.map(|(name, field)| Ok((name.clone(), Value::String(text(file, row, field)?))));
    Ok(Record { location, fields: fields.collect::<Result<Map<_, _>>>()? })
}

fn text(file: &SourceFile, row: &Row, field: &[u8]) -> Result<String> {
    // Where the row begins: quotes make the place inside it hard to tell.
    let (line, offset) = (row.line, row.offset);
    let text = std::str::from_utf8(field);
    text.map(str::to_owned).map_err(|_| Error::NotUtf8 { path: file.path.clone(), line, offset })
}
