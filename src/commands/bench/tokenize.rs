//! `kiln bench tokenize`: megabytes of text encoded in a second.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kiln_datasets::tales;
use serde_json::json;
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton, r50k_base_singleton};

use super::spread::Spread;
use crate::cli::BenchTokenize;
use crate::files::{read_text, tokenizer};

/// Least size of the embedded corpus, when there is no file.
const TALES_BYTES: usize = 4_000_000;

pub fn run(args: BenchTokenize) -> Result<()> {
    let text = match &args.file {
        Some(file) => read_text(file)?,
        None => tales::corpus(1337, TALES_BYTES).text(),
    };
    let start = Instant::now();
    let tokenizer = tokenizer(&args.tokenizer)?;
    let load_seconds = start.elapsed().as_secs_f64();
    let ids = tokenizer.encode(&text)?;

    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or(all, usize::from);
    let on = |threads: usize| -> Result<Spread> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("no threads")?;
        Ok(pool.install(|| measure(text.len(), || tokenizer.encode(&text).expect("encoded before"))))
    };
    let (one, several) = (on(1)?, on(threads)?);
    let peer = published(&args.tokenizer).map(|bpe| {
        let speed = measure(text.len(), || bpe.encode_ordinary(&text));
        (speed, bpe.encode_ordinary(&text) == ids)
    });

    if args.json {
        let report = json!({
            "tokenizer": args.tokenizer, "bytes": text.len(), "tokens": ids.len(), "load_seconds": load_seconds,
            "threads": threads, "megabytes_per_second": several.median,
            "megabytes_per_second_min": several.least, "megabytes_per_second_max": several.most,
            "megabytes_per_second_one_thread": one.median,
            "megabytes_per_second_tiktoken_rs": peer.as_ref().map(|(speed, _)| speed.median),
            "ids_equal_tiktoken_rs": peer.as_ref().map(|(_, equal)| equal),
        });
        println!("{report}");
        return Ok(());
    }
    println!("{}: {} tokens from {:.1} MB", args.tokenizer, ids.len(), text.len() as f64 / 1e6);
    let line = |name: &str, speed: &Spread| {
        println!("{name:<20} {:>8.1} MB/s ({:.1} to {:.1})", speed.median, speed.least, speed.most);
    };
    line("one thread", &one);
    line(&format!("{threads} threads"), &several);
    if let Some((speed, equal)) = &peer {
        line("tiktoken-rs, one", speed);
        println!("{}", if *equal { "the ids are equal" } else { "the ids differ" });
    }
    Ok(())
}

/// At least three times, and for a second.
fn measure(bytes: usize, encode: impl Fn() -> Vec<u32>) -> Spread {
    let begin = Instant::now();
    let mut speeds = Vec::new();
    while speeds.len() < 3 || begin.elapsed() < Duration::from_secs(1) {
        let start = Instant::now();
        std::hint::black_box(encode());
        speeds.push(bytes as f64 / 1e6 / start.elapsed().as_secs_f64());
    }
    Spread::of(speeds)
}

/// tiktoken-rs under the same name.
fn published(name: &str) -> Option<&'static CoreBPE> {
    match name {
        "gpt2" => Some(r50k_base_singleton()),
        "cl100k_base" => Some(cl100k_base_singleton()),
        "o200k_base" => Some(o200k_base_singleton()),
        _ => None,
    }
}
