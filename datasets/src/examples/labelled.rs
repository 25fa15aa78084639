//! Texts with a label each: what a classifier learns from.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Flaw, Provenance};
use crate::error::Result;
use crate::source::{ReadOptions, Record, Source, SourceFile, kind};

/// Keys or columns of a labelled text. Numbers pick columns of a table without a header row, from 1 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelColumns {
    /// The one that holds the text.
    pub text: String,
    /// The one that holds the label.
    pub label: String,
}

impl Default for LabelColumns {
    fn default() -> Self {
        Self { text: "text".to_owned(), label: "label".to_owned() }
    }
}

/// A text and its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The text.
    pub text: String,
    /// The label: a string, or a number or truth value as it is written in JSON.
    pub label: String,
    /// Where it stands.
    pub provenance: Provenance,
}

impl Labelled {
    /// All labelled texts of a source, in their order.
    ///
    /// # Errors
    ///
    /// What is wrong with a file; [`Error::Example`](crate::Error::Example) for a record without one of the columns, an
    /// empty text or label, and a source without a record.
    pub fn read(source: &Source, columns: &LabelColumns, options: &ReadOptions) -> Result<Vec<Self>> {
        let mut examples = Vec::new();
        for file in source.files()? {
            read_file(&file, columns, options, &mut examples)?;
        }
        match examples.is_empty() {
            true => Err(Provenance::of_file(&source.location).error(Flaw::NoExamples)),
            false => Ok(examples),
        }
    }
}

fn read_file(
    file: &SourceFile,
    columns: &LabelColumns,
    options: &ReadOptions,
    examples: &mut Vec<Labelled>,
) -> Result<()> {
    let path: Arc<Path> = file.path.as_path().into();
    let is_number = |column: &str| column.parse::<usize>().is_ok();
    let header = !(is_number(&columns.text) && is_number(&columns.label));
    file.records(options, header, &mut |Record { location, fields }| {
        let provenance = Provenance { path: Arc::clone(&path), location };
        let value = |of, column: &str| {
            column_of(&fields, of, column).and_then(written).map_err(|flaw| provenance.error(flaw))
        };
        let (text, label) = (value("text", &columns.text)?, value("label", &columns.label)?);
        examples.push(Labelled { text, label, provenance });
        Ok(())
    })
}

fn column_of<'a>(
    fields: &'a Map<String, Value>,
    of: &'static str,
    column: &'a str,
) -> Result<(&'a str, &'a Value), Flaw> {
    // Without a header row, the names are what the first row holds.
    let short = |name: &String| match name.char_indices().nth(30) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.clone(),
    };
    let names = || fields.keys().map(short).collect();
    let value = fields.get(column).map(|value| (column, value));
    value.ok_or_else(|| Flaw::NoColumn { of, column: column.to_owned(), names: names() })
}

/// A value as text.
fn written((column, value): (&str, &Value)) -> Result<String, Flaw> {
    let refuse = |reason: String| Err(Flaw::Value { key: column.to_owned(), reason });
    match value {
        Value::String(text) if text.trim().is_empty() => refuse("it is empty".to_owned()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => refuse(format!("{}, not a string", kind(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::write;
    use super::*;
    use crate::Location;

    fn read(
        name: &str,
        text: &str,
        columns: &LabelColumns,
    ) -> Result<Vec<(String, String, Location)>, String> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = write(folder.path(), name, text);
        let examples = Labelled::read(&Source::new(&path), columns, &ReadOptions::default());
        let place = |example: Labelled| (example.text, example.label, example.provenance.location);
        let shown =
            |error: crate::Error| error.to_string().replace(&folder.path().display().to_string(), "DIR");
        examples.map(|examples| examples.into_iter().map(place).collect()).map_err(shown)
    }

    #[test]
    fn labels_are_read_from_every_format_with_the_line_of_each() {
        let line = |text: &str, label: &str, line| (text.to_owned(), label.to_owned(), Location::Line(line));
        let expected = vec![line("Free \"entry", "spam", 2), line("Ok, lar", "ham", 3)];
        for (name, text) in [
            ("a.csv", "text,label\n\"Free \"\"entry\",spam\n\"Ok, lar\",ham\n"),
            ("a.tsv", "label\ttext\nspam\tFree \"entry\nham\tOk, lar\n"),
            (
                "a.jsonl",
                "\n{\"text\": \"Free \\\"entry\", \"label\": \"spam\"}\n{\"text\": \"Ok, lar\", \"label\": \"ham\", \"id\": 7}",
            ),
            (
                "a.json",
                "[\n{\"text\": \"Free \\\"entry\", \"label\": \"spam\"},\n {\"text\": \"Ok, lar\", \"label\": \"ham\"}]",
            ),
        ] {
            assert_eq!(read(name, text, &LabelColumns::default()), Ok(expected.clone()), "{name}");
        }
        let numbered = LabelColumns { text: "2".to_owned(), label: "1".to_owned() };
        let expected = vec![line("Free \"entry", "spam", 1), line("Ok, lar", "ham", 2)];
        assert_eq!(read("a.tsv", "spam\tFree \"entry\nham\tOk, lar\n", &numbered), Ok(expected));
        let truth = read(
            "a.jsonl",
            "{\"text\": \"x\", \"label\": 1}\n{\"text\": \"y\", \"label\": true}",
            &LabelColumns::default(),
        );
        assert_eq!(truth, Ok(vec![line("x", "1", 1), line("y", "true", 2)]));
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() {
        for (name, text, told) in [
            (
                "a.tsv",
                "ham\tOk\nspam\tFree\n",
                "DIR/a.tsv:2: no column `text`, which would hold the text; there is `ham`, `Ok`",
            ),
            (
                "a.jsonl",
                "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\"}",
                "DIR/a.jsonl:2: no column `label`, which would hold the label; there is `text`",
            ),
            ("a.jsonl", "{\"text\": \" \", \"label\": \"x\"}", "DIR/a.jsonl:1: `text`: it is empty"),
            ("a.jsonl", "{\"text\": \"a\", \"label\": null}", "DIR/a.jsonl:1: `label`: null, not a string"),
            ("a.csv", "text,label\n", "DIR/a.csv: there is no example in it"),
            ("a.txt", "text", "DIR/a.txt: plain text, which has no records"),
        ] {
            assert_eq!(read(name, text, &LabelColumns::default()), Err(told.to_owned()), "{text:?}");
        }
    }
}
