//! `kiln tokenize`: text to token ids and back.

use std::io::{IsTerminal, Write, stdin};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use kiln_datasets::{BpeTrainer, STANDARD_INPUT, Source, Tokenizer};
use serde_json::json;

use crate::cli::data::{EncodeInput, SourceArgs, TokenIds, Tokenize, token_ids};
use crate::files::{read_bytes, read_text, tokenizer};
use crate::output::{self, print_message};

pub fn run(command: Tokenize) -> Result<()> {
    let mut output = output::stdout();
    match command {
        Tokenize::Encode { tokenizer: name, input, special, json } => {
            let tokens = encode(&tokenizer(&name)?, input, special)?;
            if json {
                writeln!(output, "{}", json!({ "tokens": tokens }))?;
            } else {
                let tokens: Vec<String> = tokens.iter().map(u32::to_string).collect();
                writeln!(output, "{}", tokens.join(","))?;
            }
        }
        Tokenize::Decode { tokenizer: name, tokens } => {
            // Bytes as they are: a token need not be whole characters.
            output.write_all(&tokenizer(&name)?.decode_bytes(&tokens.read()?)?)?;
            writeln!(output)?;
        }
        Tokenize::Train { data, source, vocab_size, out } => {
            let start = Instant::now();
            let (tokenizer, bytes) = learn(&data, &source, vocab_size as usize)?;
            let seconds = start.elapsed().as_secs_f64();
            tokenizer.save(&out)?;
            let (learned, megabytes) = (tokenizer.vocab_size(), bytes as f64 / 1e6);
            print_message(format_args!(
                "{}: {learned} tokens from {megabytes:.1} MB in {seconds:.1} s",
                out.display()
            ));
        }
    }
    Ok(())
}

impl TokenIds {
    fn read(self) -> Result<Vec<u32>> {
        match self {
            Self::Typed(tokens) => Ok(tokens),
            Self::Piped => {
                let text = read_text(Path::new(STANDARD_INPUT))?;
                token_ids(&text).map_err(|reason| anyhow!("standard input: {reason}"))
            }
        }
    }
}

/// A tokenizer learned from every document, and how many bytes these have.
fn learn(data: &[String], args: &SourceArgs, vocab_size: usize) -> Result<(Tokenizer, usize)> {
    let (mut trainer, mut bytes) = (BpeTrainer::default(), 0);
    for location in data {
        let (source, before): (Source, usize) = (args.at(location)?, bytes);
        for file in source.files()? {
            file.documents(&args.reading(), &mut |document| {
                trainer.add(document);
                bytes += document.len();
                Ok(())
            })?;
        }
        if bytes == before {
            bail!("{location}: there is no text to learn from");
        }
    }
    Ok((trainer.train(vocab_size)?, bytes))
}

/// A file is taken byte by byte where the tokenizer can: it need not be UTF-8.
fn encode(tokenizer: &Tokenizer, input: EncodeInput, special: bool) -> Result<Vec<u32>> {
    let bytes = match (input.text, &input.file) {
        (Some(text), _) => text.into_bytes(),
        (None, Some(file)) => read_bytes(file)?,
        (None, None) if stdin().is_terminal() => {
            bail!("nothing to encode\nhint: name it with --text or --file, or pipe it in")
        }
        (None, None) => read_bytes(Path::new(STANDARD_INPUT))?,
    };
    let tokens = match std::str::from_utf8(&bytes) {
        Ok(text) if special => tokenizer.encode_with_special_tokens(text),
        _ => tokenizer.encode_bytes(&bytes),
    };
    match &input.file {
        Some(file) => tokens.with_context(|| file.display().to_string()),
        None => Ok(tokens?),
    }
}
