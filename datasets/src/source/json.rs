//! JSON: a document for each line, or for each element of an array.

use std::io::{BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::input::{Input, ReadOptions};
use super::python_json::PythonJson;
use super::{ReadEvent, SourceFile};
use crate::Location;
use crate::error::{Error, Result};

/// One value a line.
pub(super) fn read_lines(
    file: &SourceFile,
    input: Input,
    options: &ReadOptions,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    lines(file, input, &mut |line| match line {
        Err(error) => each(ReadEvent::Bad(error)),
        Ok((location, text)) => {
            let found = parse_line(text, options.lossy, |text| parse(text, file));
            give(file, location, found.map_err(|error| broken(file, location, &error)), each)
        }
    })
}

/// A line and its place.
type Line<'a> = (Location, &'a str);

/// Calls `take` with each line that is not empty, or with what is wrong with it.
pub(super) fn lines(
    file: &SourceFile,
    mut input: Input,
    take: &mut dyn FnMut(Result<Line<'_>>) -> Result<()>,
) -> Result<()> {
    let mut bytes = Vec::new();
    let mut offset = input.offset;
    for line in 1.. {
        bytes.clear();
        match input.bytes.read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return take(Err(Error::io(&file.path)(error))),
        }
        match std::str::from_utf8(&bytes) {
            Err(error) => {
                let offset = offset + error.valid_up_to() as u64;
                take(Err(Error::NotUtf8 { path: file.path.clone(), line, offset }))?;
            }
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => take(Ok((Location::Line(line), text)))?,
        }
        offset += bytes.len() as u64;
    }
    Ok(())
}

/// What `parse` makes of a line; where that fails, of the line without what Python writes and JSON does not know.
pub(super) fn parse_line<T>(
    text: &str,
    lossy: bool,
    parse: impl Fn(&str) -> serde_json::Result<T>,
) -> serde_json::Result<T> {
    parse(text).or_else(|error| match python_json(text, lossy) {
        changed if changed == text => Err(error),
        changed => parse(&changed),
    })
}

/// What a line holds.
fn parse(text: &str, file: &SourceFile) -> serde_json::Result<Found> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = Field(&file.field).deserialize(&mut deserializer)?;
    deserializer.end().map(|()| found)
}

/// A line with what Python writes and JSON does not know replaced.
fn python_json(text: &str, lossy: bool) -> String {
    let mut changed = String::new();
    // Neither memory nor UTF-8 can fail to be read.
    let read = PythonJson::new(text.as_bytes(), lossy).read_to_string(&mut changed);
    if read.is_ok() { changed } else { text.to_owned() }
}

/// An array of values, or values one after the other.
pub(super) fn read_values(
    file: &SourceFile,
    input: Input,
    options: &ReadOptions,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let mut input = BufReader::new(PythonJson::new(input.bytes, options.lossy));
    let mut records = Records { file, number: 0, each, outcome: Ok(()) };
    loop {
        match skip_space(&mut input) {
            Ok(false) => return records.outcome,
            Ok(true) => {}
            Err(error) => return (records.each)(ReadEvent::Bad(Error::io(&file.path)(error))),
        }
        let mut deserializer = serde_json::Deserializer::from_reader(Read::by_ref(&mut input));
        if let Err(error) = (&mut records).deserialize(&mut deserializer) {
            records.outcome?;
            let error = match error.io_error_kind() {
                Some(_) => Error::io(&file.path)(error.into()),
                None => {
                    let location = match records.number {
                        0 => Location::Line(error.line() as u64),
                        number => Location::Record(number + 1),
                    };
                    broken(file, location, &error)
                }
            };
            (records.each)(ReadEvent::Bad(error))?;
            // Where the next value begins is anyone's guess.
            let (path, location) = (file.path.clone(), Location::File);
            let reason = "the records behind the bad one cannot be read".to_owned();
            return (records.each)(ReadEvent::Bad(Error::Record { path, location, reason }));
        }
    }
}

/// Whether something other than white space follows.
pub(super) fn skip_space(input: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        match bytes.iter().position(|byte| !byte.is_ascii_whitespace()) {
            Some(space) => {
                input.consume(space);
                return Ok(true);
            }
            None => {
                let space = bytes.len();
                input.consume(space);
            }
        }
    }
}

pub(super) fn broken(file: &SourceFile, location: Location, error: &serde_json::Error) -> Error {
    let (path, column) = (file.path.clone(), error.column());
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or(&message);
    // A half in front is told by its name, one whose other half is missing by the end of its escape.
    if what.contains("surrogate") || what == "unexpected end of hex escape" {
        return Error::LoneSurrogate { path, location, column };
    }
    Error::Record { path, location, reason: format!("broken JSON: {what} at column {column}") }
}

/// Turns what was found in a record into events.
fn give(
    file: &SourceFile,
    location: Location,
    found: Result<Found>,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let reason = match found {
        Ok(Found::Text(text)) => {
            each(ReadEvent::Text(&text))?;
            return each(ReadEvent::End(location));
        }
        Ok(Found::Other(kind)) => format!("`{}` is {kind}, not a string", file.field),
        Ok(Found::Nothing(keys)) => return each(ReadEvent::Bad(file.no_field(location, keys))),
        Err(error) => return each(ReadEvent::Bad(error)),
    };
    each(ReadEvent::Bad(Error::Record { path: file.path.clone(), location, reason }))
}

/// What a record holds under the name looked for.
enum Found {
    Text(String),
    /// Something else than a string: what.
    Other(&'static str),
    /// No such field, but these.
    Nothing(Vec<String>),
}

/// Finds one field of an object without building the others; a record that is a string is its own text.
struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an object with a field `{}`, or a string", self.0)
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Found, E> {
        Ok(Found::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let (mut found, mut keys) = (None, Vec::new());
        while let Some(key) = map.next_key::<String>()? {
            if key != self.0 {
                map.next_value::<IgnoredAny>()?;
                keys.push(key);
                continue;
            }
            found = Some(match map.next_value()? {
                Value::String(text) => Found::Text(text),
                Value::Null => Found::Other("null"),
                Value::Bool(_) => Found::Other("a boolean"),
                Value::Number(_) => Found::Other("a number"),
                Value::Array(_) => Found::Other("an array"),
                Value::Object(_) => Found::Other("an object"),
            });
        }
        Ok(found.unwrap_or(Found::Nothing(keys)))
    }
}

/// The records of a file, given one by one as they are read.
struct Records<'a> {
    file: &'a SourceFile,
    number: u64,
    each: &'a mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
    /// What the receiver said last.
    outcome: Result<()>,
}

impl Records<'_> {
    fn give(&mut self, found: Found) -> std::result::Result<(), ()> {
        self.number += 1;
        self.outcome = give(self.file, Location::Record(self.number), Ok(found), self.each);
        self.outcome.as_ref().map_err(drop).copied()
    }
}

impl<'de> DeserializeSeed<'de> for &mut Records<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an array of objects with a field `{}`, or of strings", self.file.field)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(found) = elements.next_element_seed(Field(&self.file.field))? {
            self.give(found).map_err(|()| A::Error::custom("the receiver has enough"))?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let found = Field(&self.file.field).visit_map(map)?;
        self.give(found).map_err(|()| A::Error::custom("the receiver has enough"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.give(Found::Text(text.to_owned())).map_err(|()| E::custom("the receiver has enough"))
    }
}
