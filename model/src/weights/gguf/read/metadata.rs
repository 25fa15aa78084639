//! What a file says of its model: keys and values, by the type that a reader expects.

use std::collections::HashMap;
use std::path::Path;

use super::cursor::{Cursor, utf8};
use super::value::{Array, Value};
use crate::error::{Error, Result};

/// Most keys of a file, and most tensors: a thousand times what models have. More would cost memory to list.
pub(super) const MOST_ENTRIES: u64 = 1 << 16;

/// Keys and values.
pub(in crate::weights::gguf) struct Metadata<'a> {
    path: &'a Path,
    values: HashMap<&'a str, Value<'a>>,
}

impl<'a> Metadata<'a> {
    /// The `count` entries at the cursor.
    pub(super) fn read(path: &'a Path, count: u64, cursor: &mut Cursor<'a>) -> Result<Self, String> {
        if count > MOST_ENTRIES {
            return Err(format!("it should have {count} keys, and no model has more than {MOST_ENTRIES}"));
        }
        let mut values = HashMap::new();
        for number in 1..=count {
            let key = cursor.text().map_err(|reason| format!("key {number} of {count}: {reason}"))?;
            let value = Value::read(cursor).map_err(|reason| format!("`{key}`: {reason}"))?;
            if values.insert(key, value).is_some() {
                return Err(format!("`{key}` is there twice"));
            }
        }
        Ok(Self { path, values })
    }

    /// Whether there is such a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// A value as it is told: its key and what it is.
    pub(super) fn told(&self, key: &str) -> String {
        match self.values.get(key) {
            Some(value) => format!("`{key}` = {value}"),
            None => format!("`{key}` is missing"),
        }
    }

    /// A whole number that is not negative; `None` where there is no such key, as for the others.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if the value is something else, as for the others.
    pub(super) fn whole(&self, key: &str) -> Result<Option<u64>> {
        self.value(key, "a whole number", Value::whole)
    }

    /// A whole number that must be there.
    pub(super) fn size(&self, key: &str) -> Result<u64> {
        self.whole(key)?.ok_or_else(|| Error::format(self.path, self.told(key)))
    }

    /// A number.
    pub(in crate::weights::gguf) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.value(key, "a number", Value::number)
    }

    /// True or false.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.value(key, "true or false", |value| match value {
            Value::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// A text.
    pub(in crate::weights::gguf) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.value(key, "a text", |value| match value {
            Value::String(bytes) => utf8(bytes).ok(),
            _ => None,
        })
    }

    /// Several texts.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        self.list(key, "a list of texts", |value| match value {
            Value::String(bytes) => utf8(bytes).ok(),
            _ => None,
        })
    }

    /// Several whole numbers.
    pub(super) fn wholes(&self, key: &str) -> Result<Option<Vec<u64>>> {
        self.list(key, "a list of whole numbers", Value::whole)
    }

    fn value<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        match read(*value) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::format(self.path, format!("`{key}` = {value}; expected {expected}"))),
        }
    }

    fn list<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        let array = self.value(key, expected, |value| match value {
            Value::Array(array) => Some(array),
            _ => None,
        })?;
        let elements = |array: Array<'a>| {
            let elements = array.values().enumerate().map(|(at, element)| {
                let wrong = |found| {
                    Error::format(self.path, format!("`{key}`: element {at} is {found}; expected {expected}"))
                };
                let element = element.map_err(wrong)?;
                read(element).ok_or_else(|| wrong(element.to_string()))
            });
            elements.collect()
        };
        array.map(elements).transpose()
    }
}
