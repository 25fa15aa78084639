//! What the tests of examples have in common, and those of whole files.

mod encoding;
mod forms;
mod preferences;
mod templates;

use std::path::{Path, PathBuf};

use super::*;
use crate::{Location, Tokenizer};

/// Writes a file.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writable");
    path
}

/// Texts and their labels, one on each line of a file.
pub(super) fn labelled(texts: &[(&str, &str)]) -> Vec<Labelled> {
    let example = |(line, (text, label)): (u64, &(&str, &str))| {
        let provenance = Provenance { path: Path::new("data.csv").into(), location: Location::Line(line) };
        Labelled { text: (*text).to_owned(), label: (*label).to_owned(), provenance }
    };
    (1..).zip(texts).map(example).collect()
}

/// The byte tokenizer with tokens of a conversation: `<|im_start|>` is 256, `<|im_end|>` 257, `<|pad|>` 258.
pub(super) fn bytes() -> Tokenizer {
    Tokenizer::open("byte").expect("embedded").with_chat_tokens().expect("sound")
}

/// A conversation whose turns are `user: …`, `assistant: …`.
pub(super) fn conversation(turns: &[&str]) -> Conversation {
    let message = |turn: &&str| {
        let (role, content) = turn.split_once(": ").expect("a role");
        Message::new(Role::named(role).expect("a known role"), content)
    };
    let provenance = Provenance { path: Path::new("data.jsonl").into(), location: Location::Line(3) };
    Conversation { messages: turns.iter().map(message).collect(), tools: Vec::new(), provenance }
}

/// An encoder with the template of that name.
pub(super) fn encoder(tokenizer: &Tokenizer, template: &str, context_length: usize) -> ExampleEncoder {
    let template = Template::open(template, tokenizer).expect("known");
    ExampleEncoder::new(tokenizer, template, context_length, false).expect("sound")
}
