//! `kiln tokenize`: text to token ids and back.

use std::io::Write;

use anyhow::Result;
use serde_json::json;

use crate::cli::Tokenize;
use crate::files::{read_text, tokenizer};

pub fn run(command: Tokenize) -> Result<()> {
    let mut output = std::io::stdout().lock();
    match command {
        Tokenize::Encode { tokenizer: name, input, json } => {
            let tokenizer = tokenizer(&name)?;
            let text = match (input.text, input.file) {
                (Some(text), _) => text,
                (None, file) => file.as_deref().map(read_text).transpose()?.unwrap_or_default(),
            };
            let tokens = tokenizer.encode(&text)?;
            if json {
                writeln!(output, "{}", json!({ "tokens": tokens }))?;
            } else {
                let tokens: Vec<String> = tokens.iter().map(u32::to_string).collect();
                writeln!(output, "{}", tokens.join(","))?;
            }
        }
        Tokenize::Decode { tokenizer: name, tokens } => {
            // Bytes as they are: a token need not be whole characters.
            output.write_all(&tokenizer(&name)?.decode_bytes(&tokens)?)?;
            writeln!(output)?;
        }
    }
    Ok(())
}
