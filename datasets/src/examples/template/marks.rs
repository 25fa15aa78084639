//! Marks in a text: characters that Unicode keeps for the inside of programs.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::{Map, Value};

use crate::examples::{Flaw, Message};

/// Stands within a special token that someone wrote, so that it is none.
const BREAK: char = '\u{FDD0}';
/// Stands where an answer begins.
pub(super) const START: char = '\u{FDD1}';
/// Stands where an answer ends.
pub(super) const END: char = '\u{FDD2}';

/// A text without the marks within special tokens.
pub(in crate::examples) fn without_marks(text: &str) -> String {
    text.replace(BREAK, "")
}

/// Knows special tokens by their text.
pub(in crate::examples) struct Guard {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl Guard {
    /// For these tokens.
    pub(in crate::examples) fn new(tokens: &[(String, u32)]) -> Self {
        let contents = tokens.iter().map(|(content, _)| content.as_bytes());
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(contents);
        let ids = tokens.iter().map(|(_, id)| *id).collect();
        Self { automaton: automaton.expect("fewer states than 2³¹"), ids }
    }

    /// Where special tokens stand in a text, and which.
    pub(in crate::examples) fn find<'a>(
        &'a self,
        text: &'a str,
    ) -> impl Iterator<Item = (std::ops::Range<usize>, u32)> + 'a {
        let found = self.automaton.find_iter(text);
        found.map(|found| (found.range(), self.ids[found.pattern().as_usize()]))
    }

    /// A message in which every special token is marked.
    pub(in crate::examples) fn message(&self, message: &Message) -> Result<Message, Flaw> {
        Ok(Message {
            content: self.text(&message.content)?.into_owned(),
            input: message.input.as_deref().map(|input| self.text(input).map(Cow::into_owned)).transpose()?,
            fields: self.fields(&message.fields)?,
            ..*message
        })
    }

    /// A value in which every special token is marked.
    pub(in crate::examples) fn value(&self, value: &Value) -> Result<Value, Flaw> {
        Ok(match value {
            Value::String(text) => Value::String(self.text(text)?.into_owned()),
            Value::Array(values) => {
                values.iter().map(|value| self.value(value)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Value::Object(fields) => Value::Object(self.fields(fields)?),
            other => other.clone(),
        })
    }

    fn fields(&self, fields: &Map<String, Value>) -> Result<Map<String, Value>, Flaw> {
        let marked = |(key, value): (&String, &Value)| Ok((self.text(key)?.into_owned(), self.value(value)?));
        fields.iter().map(marked).collect()
    }

    fn text<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Flaw> {
        if let Some(mark) = text.chars().find(|character| [BREAK, START, END].contains(character)) {
            let reason = format!("U+{:04X} stands in a text, and is no character", u32::from(mark));
            return Err(Flaw::Value { key: "content".to_owned(), reason });
        }
        let places: Vec<usize> = self.find(text).map(|(range, _)| range.start).collect();
        if places.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let (mut marked, mut rest) = (String::with_capacity(text.len() + 3 * places.len()), 0);
        for place in places {
            let first = text[place..].chars().next().map_or(0, char::len_utf8);
            marked.push_str(&text[rest..place + first]);
            marked.push(BREAK);
            rest = place + first;
        }
        marked.push_str(&text[rest..]);
        Ok(Cow::Owned(marked))
    }
}
