//! The command line as it is typed.

mod bench;
mod common;
mod data;
mod inference;
mod models;
mod precision;
mod training;

use clap::{Parser, Subcommand};

pub use self::bench::{Bench, BenchDecode, BenchPrefill, BenchTokenize, BenchTrain, ModelShape, ModelSource};
pub use self::common::{BackendArgs, ModelArgs};
pub use self::data::{Data, DataInfo, EncodeInput, Fetch, Prepare, SourceArgs, Tokenize};
pub use self::inference::{Eval, Generate, Score};
pub use self::models::{Export, ExportFormat, Info, Verify, VerifyGpt2};
pub use self::training::{Report, Sweep, Train};

/// Raw text in, a language model out.
#[derive(Parser, Debug)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do; without a command, `train`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Train a model; without options, on the embedded corpus.
    Train(Train),
    /// Train every combination of a grid of settings and rank them.
    Sweep(Sweep),
    /// Compare runs on one HTML page: curves, samples, configurations.
    Report(Report),
    /// Continue a prompt.
    Generate(Generate),
    /// Show the log-probability of each token of a text.
    Score(Score),
    /// Measure loss, perplexity and bits per byte on a corpus.
    Eval(Eval),
    /// Turn text into token ids and back, or learn a tokenizer.
    #[command(subcommand)]
    Tokenize(Tokenize),
    /// Prepare a corpus as token shards, look at it, or fetch a well-known one.
    #[command(subcommand)]
    Data(Data),
    /// Measure how fast a part of this build is on this machine.
    #[command(subcommand)]
    Bench(Bench),
    /// Write a model for other programs: a Hugging Face directory or a GGUF file, in f32, bf16 or f16.
    Export(Export),
    /// Check a model against published numbers.
    #[command(subcommand)]
    Verify(Verify),
    /// Show what a model, a run or this build is.
    Info(Info),
}
