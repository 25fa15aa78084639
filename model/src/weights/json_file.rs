//! JSON as Python writes it.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// Reads the file at `path`. `NaN` and `Infinity`, which Python writes and JSON does not have, become strings, so
/// that a key that nobody needs may have them.
///
/// # Errors
///
/// [`Error::Io`], or [`Error::Format`] if it is no JSON.
pub(super) fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    parse(&text).map_err(|error| Error::format(path, error.to_string()))
}

/// [`read`], from a text.
pub(super) fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text).or_else(|error| match quoted(text) {
        Some(text) => serde_json::from_str(&text),
        None => Err(error),
    })
}

/// The text with quotation marks round the numbers that JSON does not have; `None` if it has none of them.
fn quoted(text: &str) -> Option<String> {
    let mut quoted = String::with_capacity(text.len());
    let (mut rest, mut in_string, mut found) = (text, false, false);
    while let Some(next) = rest.chars().next() {
        let name = ["NaN", "Infinity", "-Infinity"].into_iter().find(|name| rest.starts_with(name));
        let length = match (next, in_string, name) {
            ('\\', true, _) => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            ('"', ..) => {
                in_string = !in_string;
                1
            }
            (_, false, Some(name)) => {
                found = true;
                quoted.extend(["\"", name, "\""]);
                rest = &rest[name.len()..];
                continue;
            }
            _ => next.len_utf8(),
        };
        quoted.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    found.then_some(quoted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_of_python_alone_are_strings() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity, 1], "NaN": "\\\" NaN é", "c": "Infinity"}"#;
        let expected =
            json!({"a": "NaN", "b": ["-Infinity", "Infinity", 1], "NaN": "\\\" NaN é", "c": "Infinity"});
        assert_eq!(parse(text).expect("Python reads it"), expected);
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in ["", "{", "\"\\", "{\"a\": NaNa}", "[nan]", "\"NaN"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
