//! The prompts that a command continues.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::{Conversation, ExampleEncoder, Message, Provenance, Role, Template};
use serde_json::Value;

use crate::cli::inference::Generate;
use crate::files::{STDIN, read_prompt, read_utf8};

/// The prompts that were asked for: at least one, unless a file has none.
pub fn read(args: &Generate) -> Result<Vec<String>> {
    if let Some(path) = &args.prompts {
        let text = read_utf8(path)?;
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
        (Some(path), _) => read_prompt(path)?,
        (None, Some(STDIN)) => read_prompt(Path::new(STDIN))?,
        (None, Some(prompt)) => prompt.to_owned(),
        (None, None) if std::io::stdin().is_terminal() => String::new(),
        (None, None) => read_prompt(Path::new(STDIN))?,
    };
    Ok(vec![prompt])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_are_strings_or_objects() {
        assert_eq!(of_json(r#""a\nb""#).expect("a string"), "a\nb");
        assert_eq!(of_json(r#"{"id": 1, "prompt": "a"}"#).expect("an object"), "a");
        for wrong in ["1", "{}", r#"{"prompt": 2}"#, ""] {
            assert!(of_json(wrong).is_err(), "{wrong}");
        }
    }
}
