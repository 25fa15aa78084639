//! The fields of a request, each taken with a check. One that is `null` is not there; unknown ones are ignored.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::{ApiError, Result};

/// A JSON object on its way to parameters.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of an object.
    pub(super) fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// Names of the fields that nobody took.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Takes a field of any type.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Takes `true` or `false`; false where it is not there.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(wrong(name, &other, "true or false")),
        }
    }

    /// Takes a text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, &other, "a string")),
        }
    }

    /// Takes a number within a range.
    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.as_f64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong(name, &value, between("a number", &range))),
        }
    }

    /// Takes a whole number within a range.
    pub(super) fn integer(&mut self, name: &str, range: RangeInclusive<i128>) -> Result<Option<i128>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match whole(&value).filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong(name, &value, between("a whole number", &range))),
        }
    }

    /// Takes a count, of which there are at most `most`.
    pub(super) fn count(&mut self, name: &str, most: usize) -> Result<Option<usize>> {
        let count = self.integer(name, 0..=most as i128)?;
        Ok(count.and_then(|count| usize::try_from(count).ok()))
    }

    /// Refuses what a server would have to act on, and this one does not.
    pub(super) fn refuse(&mut self, names: &[&str]) -> Result<()> {
        let is_empty = |value: &Value| match value {
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(flag) => !flag,
            _ => false,
        };
        for name in names {
            if self.value(name).is_some_and(|value| !is_empty(&value)) {
                let message = format!("`{name}` is not supported by this server; leave it out.");
                return Err(ApiError::invalid(*name, message).with_code("unsupported_parameter"));
            }
        }
        Ok(())
    }
}

/// A whole number, also one that is written `2.0`.
pub(super) fn whole(value: &Value) -> Option<i128> {
    let exact = value.as_u64().map(i128::from).or(value.as_i64().map(i128::from));
    exact.or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i128))
}

/// The error of a field with a value that it cannot have.
pub(super) fn wrong(name: &str, value: &Value, expected: impl Display) -> ApiError {
    ApiError::invalid(name, format!("`{name}` must be {expected}, not {}.", shown(value)))
}

fn between<T: Display>(what: &str, range: &RangeInclusive<T>) -> String {
    format!("{what} from {} to {}", range.start(), range.end())
}

/// A value that is long is not repeated, whatever is in it.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.len() > 40 => "a long string".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(fields) => Fields::new(fields),
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn fields_are_checked_and_null_is_absent() {
        let mut given =
            fields(json!({ "a": null, "n": 2.0, "t": 0.5, "f": true, "tools": [], "suffix": "" }));
        assert!(given.value("a").is_none() && given.value("b").is_none());
        assert_eq!(given.count("n", 3).expect("within"), Some(2));
        assert_eq!(given.number("t", 0.0..=2.0).expect("within"), Some(0.5));
        assert!(given.flag("f").expect("a flag") && !given.flag("g").expect("absent"));
        assert!(given.refuse(&["tools", "suffix", "g"]).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let told = |error: ApiError| error.object()["error"].clone();
        let mut given = fields(json!({ "n": 4, "m": 1.5, "k": -1, "t": "x", "f": 1, "tools": [1] }));
        let error = told(given.count("n", 3).expect_err("too many"));
        assert_eq!(error["message"], "`n` must be a whole number from 0 to 3, not 4.");
        assert_eq!((&error["param"], &error["type"]), (&json!("n"), &json!("invalid_request_error")));
        assert_eq!(told(given.count("m", 3).expect_err("not whole"))["param"], "m");
        assert_eq!(told(given.count("k", 3).expect_err("negative"))["param"], "k");
        assert_eq!(told(given.number("t", 0.0..=1.0).expect_err("a string"))["param"], "t");
        assert_eq!(told(given.flag("f").expect_err("a number"))["param"], "f");
        assert_eq!(told(given.refuse(&["tools"]).expect_err("real"))["param"], "tools");
    }
}
