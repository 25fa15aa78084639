//! JSON: a document for each line, or for each element of an array.

use std::io::{BufRead, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::input::{self, Input, ReadOptions};
use super::{ReadEvent, SourceFile};
use crate::Location;
use crate::error::{Error, Result};

/// One value a line.
pub(super) fn read_lines(
    file: &SourceFile,
    mut input: Input,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let mut bytes = Vec::new();
    let mut offset = 0;
    for line in 1.. {
        bytes.clear();
        match input.read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return each(ReadEvent::Bad(Error::io(&file.path)(error))),
        }
        match std::str::from_utf8(&bytes) {
            Err(error) => {
                let offset = offset + error.valid_up_to() as u64;
                each(ReadEvent::Bad(Error::NotUtf8 { path: file.path.clone(), line, offset }))?;
            }
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                let mut deserializer = serde_json::Deserializer::from_str(text);
                let found = Field(&file.field).deserialize(&mut deserializer);
                let found = found.and_then(|found| deserializer.end().map(|()| found));
                let found = found.map_err(|error| broken(&error));
                give(file, Location::Line(line), found, each)?;
            }
        }
        offset += bytes.len() as u64;
    }
    Ok(())
}

/// An array of values, or values one after the other.
pub(super) fn read_values(
    file: &SourceFile,
    mut input: Input,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
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
                    Error::Record { path: file.path.clone(), location, reason: broken(&error) }
                }
            };
            // Where the next value begins is anyone's guess.
            return (records.each)(ReadEvent::Bad(error));
        }
    }
}

/// Opens a file and steps over the mark that some programs put before JSON.
pub(super) fn open(file: &SourceFile, options: &ReadOptions) -> Result<Input> {
    let mut input = input::open(file, options)?;
    if input.fill_buf().map_err(Error::io(&file.path))?.starts_with(b"\xEF\xBB\xBF") {
        input.consume(3);
    }
    Ok(input)
}

/// Whether something other than white space follows.
fn skip_space(input: &mut Input) -> std::io::Result<bool> {
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

fn broken(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or(&message);
    format!("broken JSON: {what} at column {}", error.column())
}

/// Turns what was found in a record into events.
fn give(
    file: &SourceFile,
    location: Location,
    found: Result<Found, String>,
    each: &mut dyn FnMut(ReadEvent<'_>) -> Result<()>,
) -> Result<()> {
    let reason = match found {
        Ok(Found::Text(text)) => {
            each(ReadEvent::Text(&text))?;
            return each(ReadEvent::End(location));
        }
        Ok(Found::Other(kind)) => format!("`{}` is {kind}, not a string", file.field),
        Ok(Found::Nothing(keys)) => return each(ReadEvent::Bad(file.no_field(location, keys))),
        Err(reason) => reason,
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
