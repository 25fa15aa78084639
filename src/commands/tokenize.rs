//! `kiln tokenize`: text to token ids and back.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use kiln_datasets::{BpeTrainer, Tokenizer};
use serde_json::json;

use crate::cli::data::{EncodeInput, SourceArgs, Tokenize};
use crate::commands::data::Sources;
use crate::files::tokenizer;

pub fn run(command: Tokenize) -> Result<()> {
    let mut output = std::io::stdout().lock();
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
            output.write_all(&tokenizer(&name)?.decode_bytes(&tokens)?)?;
            writeln!(output)?;
        }
        Tokenize::Train { data, source, vocab_size, out } => {
            let start = Instant::now();
            let (tokenizer, bytes) = learn(&Sources::new(&data, &source)?, &source, vocab_size as usize)?;
            let seconds = start.elapsed().as_secs_f64();
            tokenizer.save(&out)?;
            let (learned, megabytes) = (tokenizer.vocab_size(), bytes as f64 / 1e6);
            eprintln!("{}: {learned} tokens from {megabytes:.1} MB in {seconds:.1} s", out.display());
        }
    }
    Ok(())
}

/// A tokenizer learned from every document, and how many bytes these have.
fn learn(sources: &Sources, args: &SourceArgs, vocab_size: usize) -> Result<(Tokenizer, usize)> {
    let (mut trainer, mut bytes) = (BpeTrainer::default(), 0);
    for source in &sources.list {
        let before = bytes;
        for file in source.files()? {
            file.documents(&args.reading(), &mut |document| {
                trainer.add(document);
                bytes += document.len();
                Ok(())
            })?;
        }
        if bytes == before {
            bail!("{}: there is no text to learn from", source.location.display());
        }
    }
    Ok((trainer.train(vocab_size)?, bytes))
}

/// A file is taken byte by byte where the tokenizer can: it need not be UTF-8.
fn encode(tokenizer: &Tokenizer, input: EncodeInput, special: bool) -> Result<Vec<u32>> {
    let bytes = match (input.text, &input.file) {
        (Some(text), _) => text.into_bytes(),
        (None, Some(file)) => std::fs::read(file).with_context(|| file.display().to_string())?,
        (None, None) => Vec::new(),
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
