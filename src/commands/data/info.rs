//! `kiln data info`: what a corpus is.

use std::io::Write;

use anyhow::Result;
use kiln_datasets::{CorpusInfo, ShardFormat};
use serde_json::{Value, json};

use crate::cli::data::DataInfo;
use crate::files::tokenizer;
use crate::output;

/// Width of the longest bar of the histogram.
const BAR: u64 = 40;

pub fn run(args: DataInfo) -> Result<()> {
    let tokenizer = args.tokenizer.as_deref().map(tokenizer).transpose()?;
    let infos = CorpusInfo::of(&args.source.at(&args.path)?, tokenizer.as_ref(), &args.source.reading())?;
    let mut out = output::stdout();
    if args.json {
        let value = match infos.as_slice() {
            [train, valid] => both(&args, train, valid),
            infos => infos.first().map_or(Value::Null, value),
        };
        writeln!(out, "{value}")?;
        return Ok(());
    }
    for (index, info) in infos.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        print(info, &mut out)?;
    }
    Ok(())
}

fn kind(info: &CorpusInfo) -> &'static str {
    match info.format {
        None => "text",
        Some(ShardFormat::Kiln) => "shard",
        Some(ShardFormat::LlmC) => "llm.c",
        Some(ShardFormat::NanoGpt) => "nanogpt",
    }
}

/// A prepared folder: sums, and each split.
fn both(args: &DataInfo, train: &CorpusInfo, valid: &CorpusInfo) -> Value {
    let sum = |number: fn(&CorpusInfo) -> u64| number(train) + number(valid);
    let (tokens, text_bytes) = (sum(|info| info.tokens), sum(|info| info.text_bytes));
    json!({
        "path": args.path,
        "kind": "prepared",
        "tokenizer": train.tokenizer,
        "tokenizer_assumed": train.is_assumed,
        "vocab_size": train.vocab_size,
        "tokens": tokens,
        "documents": sum(|info| info.documents),
        "text_bytes": text_bytes,
        "bytes_per_token": text_bytes as f64 / tokens.max(1) as f64,
        "splits": { "train": value(train), "valid": value(valid) },
    })
}

fn value(info: &CorpusInfo) -> Value {
    let lengths = info.lengths.ranges();
    let lengths =
        lengths.map(|(from, to, documents)| json!({ "from": from, "to": to, "documents": documents }));
    json!({
        "path": info.path,
        "kind": kind(info),
        "tokenizer": info.tokenizer,
        "tokenizer_assumed": info.is_assumed,
        "vocab_size": info.vocab_size,
        "dtype": info.token_width.map(|width| if width == 2 { "u16" } else { "u32" }),
        "tokens": info.tokens,
        "documents": info.documents,
        "text_bytes": info.text_bytes,
        "bytes_per_token": info.bytes_per_token(),
        "lengths": lengths.collect::<Vec<_>>(),
        "first_lines": info.first_lines,
    })
}

fn print(info: &CorpusInfo, out: &mut impl Write) -> Result<()> {
    writeln!(out, "corpus           {} ({})", info.path.display(), kind(info))?;
    let assumed = if info.is_assumed { "; assumed, `--tokenizer` names another" } else { "" };
    writeln!(out, "tokenizer        {}, {} tokens{assumed}", info.tokenizer, info.vocab_size)?;
    writeln!(out, "tokens           {}", info.tokens)?;
    writeln!(out, "documents        {}", info.documents)?;
    writeln!(out, "text             {} bytes", info.text_bytes)?;
    writeln!(out, "bytes per token  {:.4}", info.bytes_per_token())?;
    let most = info.lengths.0.iter().max().copied().unwrap_or(0).max(1);
    for (index, (from, to, documents)) in info.lengths.ranges().enumerate() {
        let title = if index == 0 { "document length" } else { "" };
        let bar = "▇".repeat((documents * BAR).div_ceil(most) as usize);
        writeln!(out, "{title:<16} {from:>9} – {to:<9} {documents:>9} {bar}")?;
    }
    for (index, line) in info.first_lines.iter().enumerate() {
        writeln!(out, "{:<16} {line}", if index == 0 { "begins" } else { "" })?;
    }
    Ok(())
}
