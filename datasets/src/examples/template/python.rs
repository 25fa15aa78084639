//! What templates take from Python: how values are printed, `tojson`, `raise_exception`, `strftime_now`.

use std::fmt::Write as _;
use std::io;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

/// Makes `environment` one of transformers: its settings, functions and filters.
pub(super) fn set_up(environment: &mut Environment<'_>) {
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_unknown_method_callback(|state, value, method, arguments| {
        match (value.as_str(), arguments) {
            (Some(text), []) => stripped(text, method).map(|text| Ok(Value::from(text))),
            _ => None,
        }
        .unwrap_or_else(|| unknown_method_callback(state, value, method, arguments))
    });
    environment.add_filter("trim", |text: String, characters: Option<String>| match characters {
        None => text.trim_matches(is_space).to_owned(),
        Some(characters) => text.trim_matches(|character| characters.contains(character)).to_owned(),
    });
    environment.set_formatter(|output, _, value| Ok(write!(output, "{}", printed(value))?));
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |value: &Value| printed(value));
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map);
    environment.add_test("sequence", is_list);
    environment.add_test("iterable", move |value: &Value| {
        is_list(value) || matches!(value.kind(), ValueKind::Iterable | ValueKind::Undefined)
    });
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| {
        let mut written = String::new();
        let now = chrono::Local::now();
        write!(written, "{}", now.format(&format)).map(|()| written).map_err(|_| {
            Error::new(ErrorKind::InvalidOperation, format!("{format:?} is no format of a date"))
        })
    });
}

/// What `strip` and its like leave of a text.
fn stripped<'a>(text: &'a str, method: &str) -> Option<&'a str> {
    match method {
        "strip" => Some(text.trim_matches(is_space)),
        "lstrip" => Some(text.trim_start_matches(is_space)),
        "rstrip" => Some(text.trim_end_matches(is_space)),
        _ => None,
    }
}

/// Python takes the separators of files, groups, records and units for white space, too.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1C}'..='\u{1F}')
}

/// Python's `str`.
fn printed(value: &Value) -> String {
    match value.kind() {
        ValueKind::String | ValueKind::Undefined => value.to_string(),
        _ => repr(value),
    }
}

/// Python's `repr`.
fn repr(value: &Value) -> String {
    let each = |value: &Value| value.try_iter().into_iter().flatten().collect::<Vec<_>>();
    match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let values: Vec<String> = each(value).iter().map(repr).collect();
            format!("[{}]", values.join(", "))
        }
        ValueKind::Map => {
            let entry =
                |key: &Value| format!("{}: {}", repr(key), repr(&value.get_item(key).unwrap_or_default()));
            let entries: Vec<String> = each(value).iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            character if character == quote => quoted.extend(['\\', quote]),
            character => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

/// Python's `json.dumps(value, ensure_ascii=False)`.
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let json = match indent {
        Some(width) => dumped(value, PrettyFormatter::with_indent(" ".repeat(width).as_bytes())),
        None => dumped(value, Spaced),
    };
    let json = json.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(if ascii == Some(true) { escaped(&json) } else { json })
}

fn dumped(value: &Value, formatter: impl Formatter) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn escaped(json: &str) -> String {
    let mut escaped = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(byte) => escaped.push(char::from(byte)),
            None => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    escaped
}

/// A space behind every comma and colon, as Python has it.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
