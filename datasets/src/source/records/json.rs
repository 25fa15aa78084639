//! Records of JSON: one for each line, or for each element of an array.

use std::cell::Cell;
use std::io::{self, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Record;
use crate::Location;
use crate::error::{Error, Result};
use crate::source::input::Input;
use crate::source::json::{broken, lines, parse_line, skip_space};
use crate::source::python_json::PythonJson;
use crate::source::{ReadOptions, SourceFile};

/// One value a line.
pub(super) fn read_lines(
    file: &SourceFile,
    input: Input,
    options: &ReadOptions,
    each: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    lines(file, input, &mut |line| {
        let (location, text) = line?;
        let value = parse_line(text, options.lossy, |text| serde_json::from_str(text));
        each(file.record(location, value.map_err(|error| broken(file, location, &error))?)?)
    })
}

/// An array of values, or values one after the other.
pub(super) fn read_values(
    file: &SourceFile,
    input: Input,
    options: &ReadOptions,
    each: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    let line = Cell::new(1);
    let counted = Counted { inner: PythonJson::new(input.bytes, options.lossy), line: &line };
    let mut input = BufReader::with_capacity(1, counted);
    let mut elements = Elements { file, line: &line, each, outcome: Ok(()) };
    while skip_space(&mut input).map_err(Error::io(&file.path))? {
        let mut deserializer = serde_json::Deserializer::from_reader(Read::by_ref(&mut input));
        if let Err(error) = (&mut elements).deserialize(&mut deserializer) {
            elements.outcome?;
            return Err(match error.io_error_kind() {
                Some(_) => Error::io(&file.path)(error.into()),
                None => broken(file, Location::Line(line.get()), &error),
            });
        }
    }
    elements.outcome
}

/// Counts the lines that have been read.
struct Counted<'a, R> {
    inner: R,
    line: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let newlines = buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        self.line.set(self.line.get() + newlines);
        Ok(read)
    }
}

/// The values of a file, given one by one as they are read.
struct Elements<'a> {
    file: &'a SourceFile,
    line: &'a Cell<u64>,
    each: &'a mut dyn FnMut(Record) -> Result<()>,
    /// What the receiver said last.
    outcome: Result<()>,
}

impl Elements<'_> {
    fn give<E: serde::de::Error>(&mut self, line: u64, value: Value) -> Result<(), E> {
        let record = self.file.record(Location::Line(line), value);
        self.outcome = record.and_then(|record| (self.each)(record));
        self.outcome.as_ref().copied().map_err(|_| E::custom("the receiver has enough"))
    }
}

impl<'de> DeserializeSeed<'de> for &mut Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an array of objects, or objects one after the other")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some((line, value)) = elements.next_element_seed(Placed(self.line))? {
            self.give(line, value)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let line = self.line.get();
        let mut fields = Map::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            fields.insert(key, value);
        }
        self.give(line, Value::Object(fields))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.give(self.line.get(), Value::String(text.to_owned()))
    }
}

/// A value, and the line on which it begins: its first byte has just been read.
struct Placed<'a>(&'a Cell<u64>);

impl<'de> DeserializeSeed<'de> for Placed<'_> {
    type Value = (u64, Value);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let line = self.0.get();
        let value = serde::Deserialize::deserialize(deserializer).map_err(D::Error::custom)?;
        Ok((line, value))
    }
}
