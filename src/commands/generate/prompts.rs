//! The prompts that a command continues.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::{Conversation, ExampleEncoder, Message, Provenance, Role, Template};
use serde_json::Value;

use crate::cli::inference::Generate;
use crate::files::read_bytes;

/// What standard input is called.
const STDIN: &str = "-";

/// The prompts that were asked for: at least one, unless a file has none.
pub fn read(args: &Generate) -> Result<Vec<String>> {
    if let Some(path) = &args.prompts {
        let text = read_file(path)?;
        let lines = text.lines();
        return match path.extension() {
            Some(ending) if ending == "jsonl" => lines
                .enumerate()
                .map(|(line, text)| of_json(text).with_context(|| format!("{}:{}", path.display(), line + 1)))
                .collect(),
            _ => Ok(lines.map(str::to_owned).collect()),
        };
    }
    let prompt = match (&args.prompt_file, args.prompt.as_deref()) {
        (Some(path), _) => without_last_line_break(read_file(path)?),
        (None, Some(STDIN)) => without_last_line_break(read_stdin()?),
        (None, Some(prompt)) => prompt.to_owned(),
        (None, None) if std::io::stdin().is_terminal() => String::new(),
        (None, None) => without_last_line_break(read_stdin()?),
    };
    Ok(vec![prompt])
}

fn read_file(path: &Path) -> Result<String> {
    let name = if path == Path::new(STDIN) { "standard input".into() } else { path.display().to_string() };
    text(read_bytes(path)?).context(name)
}

fn read_stdin() -> Result<String> {
    read_file(Path::new(STDIN))
}

/// UTF-8, without the mark that some editors put first.
fn text(bytes: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(bytes)
        .map_err(|error| anyhow!("byte {} is not UTF-8", error.utf8_error().valid_up_to() + 1))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The shell and editors end a text with a line break that is not meant.
fn without_last_line_break(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

fn of_json(line: &str) -> Result<String> {
    match serde_json::from_str(line)? {
        Value::String(prompt) => Ok(prompt),
        Value::Object(mut object) => match object.remove("prompt") {
            Some(Value::String(prompt)) => Ok(prompt),
            Some(other) => bail!("\"prompt\" is {other}, no string"),
            None => bail!("there is no key \"prompt\""),
        },
        other => bail!("{other} is neither a string nor an object with the key \"prompt\""),
    }
}

/// The tokens of what somebody says, up to where the model is to answer.
pub fn said(text: &str, tokenizer: &Tokenizer, context_length: usize) -> Result<Vec<u32>> {
    let encoder = ExampleEncoder::new(tokenizer, Template::of(tokenizer, None)?, context_length, false)?;
    let messages = vec![Message::new(Role::User, text)];
    let provenance = Provenance::of_file(Path::new("--prompt"));
    Ok(encoder.prompt(&Conversation { messages, tools: Vec::new(), provenance })?)
}

/// A stop string as it was typed: `\n`, `\r`, `\t` and `\\` stand for what they do in most languages; a backslash
/// before anything else is one.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        let escaped = match (next, rest.clone().next()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('t')) => '\t',
            ('\\', Some('\\')) => '\\',
            _ => {
                plain.push(next);
                continue;
            }
        };
        plain.push(escaped);
        rest.next();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_strings_may_be_escaped() {
        assert_eq!(unescape(r"\n\n"), "\n\n");
        assert_eq!(unescape(r"a\tb\\n\x\"), "a\tb\\n\\x\\");
    }

    #[test]
    fn one_line_break_at_the_end_is_the_shells() {
        for (typed, meant) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("\n", ""), ("a", "a")] {
            assert_eq!(without_last_line_break(typed.to_owned()), meant);
        }
    }

    #[test]
    fn json_lines_are_strings_or_objects() {
        assert_eq!(of_json(r#""a\nb""#).expect("a string"), "a\nb");
        assert_eq!(of_json(r#"{"id": 1, "prompt": "a"}"#).expect("an object"), "a");
        for wrong in ["1", "{}", r#"{"prompt": 2}"#, ""] {
            assert!(of_json(wrong).is_err(), "{wrong}");
        }
    }
}
