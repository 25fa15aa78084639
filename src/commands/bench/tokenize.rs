//! `kiln bench tokenize`: megabytes of text encoded in a second.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use kiln_datasets::tales;
use serde_json::json;
use tiktoken_rs::{cl100k_base_singleton, o200k_base_singleton, r50k_base_singleton};

use super::spread::Spread;
use crate::cli::bench::BenchTokenize;
use crate::files::{read_text, tokenizer};
use crate::output;

/// Least size of the embedded corpus, when there is no file.
const TALES_BYTES: usize = 4_000_000;

pub fn run(args: BenchTokenize) -> Result<()> {
    let text = match &args.file {
        Some(file) => read_text(file)?,
        None => tales::corpus(1337, TALES_BYTES).text(),
    };
    let measured = Measured::new(&args, &text)?;
    if args.json {
        measured.print_json(&args.tokenizer, text.len())
    } else {
        measured.print(&args.tokenizer, text.len())
    }
}

/// Speeds in megabytes per second.
struct Measured {
    load_seconds: f64,
    tokens: usize,
    threads: usize,
    one_thread: Spread,
    all_threads: Spread,
    peer: Option<Peer>,
}

/// The usual crate for such a tokenizer.
struct Peer {
    name: &'static str,
    /// On one thread.
    speed: Spread,
    /// Whether it gives the same ids.
    equal: bool,
}

impl Measured {
    fn new(args: &BenchTokenize, text: &str) -> Result<Self> {
        let start = Instant::now();
        let tokenizer = tokenizer(&args.tokenizer)?;
        let load_seconds = start.elapsed().as_secs_f64();
        let ids = tokenizer.encode(text)?;

        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = args.threads.map_or(cores, usize::from);
        let on = |threads: usize| -> Result<Spread> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("no threads")?;
            Ok(pool.install(|| measure(text.len(), || tokenizer.encode(text).expect("encoded before"))))
        };
        let (one_thread, all_threads) = (on(1)?, on(threads)?);
        let peer = match peer(&args.tokenizer)? {
            Some((name, encode)) => {
                let equal = encode(text)? == ids;
                let speed = measure(text.len(), || encode(text).expect("encoded before"));
                Some(Peer { name, speed, equal })
            }
            None => None,
        };
        Ok(Self { load_seconds, tokens: ids.len(), threads, one_thread, all_threads, peer })
    }

    fn print_json(&self, tokenizer: &str, bytes: usize) -> Result<()> {
        let of = |name: &str| self.peer.as_ref().filter(|peer| peer.name == name);
        let [tiktoken, tokenizers] = [of(TIKTOKEN), of(TOKENIZERS)];
        let report = json!({
            "tokenizer": tokenizer, "bytes": bytes, "tokens": self.tokens, "load_seconds": self.load_seconds,
            "threads": self.threads, "megabytes_per_second": self.all_threads.median,
            "megabytes_per_second_min": self.all_threads.least, "megabytes_per_second_max": self.all_threads.most,
            "megabytes_per_second_one_thread": self.one_thread.median,
            "megabytes_per_second_tiktoken_rs": tiktoken.map(|peer| peer.speed.median),
            "ids_equal_tiktoken_rs": tiktoken.map(|peer| peer.equal),
            "megabytes_per_second_tokenizers": tokenizers.map(|peer| peer.speed.median),
            "ids_equal_tokenizers": tokenizers.map(|peer| peer.equal),
        });
        writeln!(output::stdout(), "{report}")?;
        Ok(())
    }

    fn print(&self, tokenizer: &str, bytes: usize) -> Result<()> {
        let mut out = output::stdout();
        writeln!(out, "{tokenizer}: {} tokens from {:.1} MB", self.tokens, bytes as f64 / 1e6)?;
        let mut line = |name: &str, speed: &Spread| {
            writeln!(out, "{name:<20} {:>8.1} MB/s ({:.1} to {:.1})", speed.median, speed.least, speed.most)
        };
        line("one thread", &self.one_thread)?;
        line(&format!("{} threads", self.threads), &self.all_threads)?;
        if let Some(Peer { name, speed, equal }) = &self.peer {
            line(&format!("{name}, one"), speed)?;
            writeln!(out, "{}", if *equal { "the ids are equal" } else { "the ids differ" })?;
        }
        Ok(())
    }
}

/// At least three times, and for a second.
fn measure(bytes: usize, encode: impl Fn() -> Vec<u32>) -> Spread {
    let start = Instant::now();
    let mut speeds = Vec::new();
    while speeds.len() < 3 || start.elapsed() < Duration::from_secs(1) {
        let once = Instant::now();
        std::hint::black_box(encode());
        speeds.push(bytes as f64 / 1e6 / once.elapsed().as_secs_f64());
    }
    Spread::of(speeds)
}

const TIKTOKEN: &str = "tiktoken-rs";
const TOKENIZERS: &str = "tokenizers";

/// How a peer encodes a text.
type Encode = Box<dyn Fn(&str) -> Result<Vec<u32>>>;

/// tiktoken-rs under the same name, or the `tokenizers` crate with the same file.
fn peer(name: &str) -> Result<Option<(&'static str, Encode)>> {
    let published = match name {
        "gpt2" => r50k_base_singleton(),
        "cl100k_base" => cl100k_base_singleton(),
        "o200k_base" => o200k_base_singleton(),
        _ => return of_file(Path::new(name)),
    };
    Ok(Some((TIKTOKEN, Box::new(|text| Ok(published.encode_ordinary(text))))))
}

fn of_file(path: &Path) -> Result<Option<(&'static str, Encode)>> {
    let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
    if !file.is_file() {
        return Ok(None);
    }
    let refuse = |error: tokenizers::Error| anyhow!("{error}");
    let mut tokenizer = tokenizers::Tokenizer::from_file(&file).map_err(refuse)?;
    // As we do: special tokens are not looked for.
    tokenizer.set_encode_special_tokens(true);
    let encode = move |text: &str| Ok(tokenizer.encode(text, false).map_err(refuse)?.get_ids().to_vec());
    Ok(Some((TOKENIZERS, Box::new(encode))))
}
