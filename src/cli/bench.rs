//! `kiln bench` as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kiln_model::{ComputePrecision, Precision};

use super::common::{BackendArgs, MOST_THREADS};
use super::precision::{in_memory, of_training};

/// `kiln bench`
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Measure tokens per second of whole training steps: forward, backward, clipping, AdamW.
    Train(BenchTrain),
    /// Measure tokens per second of generation, one token at a time, with a KV cache.
    Decode(BenchDecode),
    /// Measure tokens per second of reading a prompt.
    Prefill(BenchPrefill),
    /// Measure megabytes of text encoded per second, on one thread and on several, beside tiktoken-rs.
    Tokenize(BenchTokenize),
}

/// The architecture of a model with random weights.
#[derive(Args, Debug, Clone)]
pub struct ModelShape {
    /// A published architecture: gpt2, gpt2-medium, smollm2-135m, llama-3.2-1b, qwen3-0.6b, …
    #[arg(long, value_name = "NAME", conflicts_with_all = ["layers", "heads", "width"])]
    pub preset: Option<String>,
    /// Blocks.
    #[arg(long, value_name = "L", default_value_t = 4, value_parser = size)]
    pub layers: usize,
    /// Attention heads of each.
    #[arg(long, value_name = "H", default_value_t = 4, value_parser = size)]
    pub heads: usize,
    /// Width of the residual stream.
    #[arg(long, value_name = "D", default_value_t = 128, value_parser = size)]
    pub width: usize,
    /// Size of the vocabulary; default: 65, or the preset's.
    #[arg(long, value_name = "V", value_parser = size)]
    pub vocab: Option<usize>,
}

/// `kiln bench train`
#[derive(Args, Debug)]
pub struct BenchTrain {
    #[command(flatten)]
    pub shape: ModelShape,
    /// Tokens of a sequence.
    #[arg(long, value_name = "T", default_value_t = 64, value_parser = size)]
    pub context: usize,
    /// Sequences of a step.
    #[arg(long, value_name = "B", default_value_t = 12, value_parser = size)]
    pub batch: usize,
    /// What a step is computed in.
    #[arg(long, value_parser = of_training(), default_value = "f32")]
    pub precision: ComputePrecision,
    /// Steps that are timed, after one that is not; default: as many as take five seconds, at least five.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// A model with its own weights, or a shape with random ones.
#[derive(Args, Debug, Clone)]
pub struct ModelSource {
    /// Model: a directory, a .gguf file, the name of a run in runs/ or of a fetched model; default: random weights.
    #[arg(short, long, value_name = "MODEL", conflicts_with_all = ["preset", "layers", "heads", "width", "vocab"])]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub shape: ModelShape,
    /// Number format of the weights.
    #[arg(long, value_parser = in_memory(), default_value = "f32")]
    pub dtype: Precision,
}

/// `kiln bench decode`
#[derive(Args, Debug)]
pub struct BenchDecode {
    #[command(flatten)]
    pub source: ModelSource,
    /// Positions that are there before the first token is timed.
    #[arg(long, value_name = "T", default_value_t = 16, value_parser = size)]
    pub context: usize,
    /// Texts that are generated side by side.
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = size)]
    pub batch: usize,
    /// Tokens of each text that are timed.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub tokens: u32,
    /// Draw each token at this temperature; 0 takes the most probable one.
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub temperature: f64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln bench prefill`
#[derive(Args, Debug)]
pub struct BenchPrefill {
    #[command(flatten)]
    pub source: ModelSource,
    /// Tokens of the prompt.
    #[arg(long, value_name = "T", default_value_t = 512, value_parser = size)]
    pub context: usize,
    /// How often it is read.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub repetitions: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln bench tokenize`
#[derive(Args, Debug)]
pub struct BenchTokenize {
    /// byte, gpt2, cl100k_base, o200k_base, or a model, run or tokenizer directory.
    #[arg(long, value_name = "NAME|DIR", default_value = "gpt2")]
    pub tokenizer: String,
    /// Text to encode; default: the embedded corpus, whose few words flatter every tokenizer with a cache.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Threads of the second measurement; default: all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    pub threads: Option<u16>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A number from one to what no machine reaches.
fn size(text: &str) -> Result<usize, String> {
    const MOST: usize = 1 << 24;
    match text.parse() {
        Ok(size) if (1..=MOST).contains(&size) => Ok(size),
        _ => Err(format!("must be a number from 1 to {MOST}")),
    }
}
