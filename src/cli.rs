//! The command line as it is typed.

mod bench;
mod data;
mod inference;
mod models;
mod training;

pub use bench::{
    Bench, BenchDecode, BenchPrefill, BenchTokenize, BenchTrain, ModelShape, ModelSource, Precision,
};
use clap::{Args, Parser, Subcommand};
pub use data::{Data, DataInfo, EncodeInput, Fetch, Prepare, SourceArgs, Tokenize};
pub use inference::{Eval, Generate, Score};
pub use models::{Export, ExportDtype, ExportFormat, Info, Verify, VerifyGpt2};
pub use training::{Report, Sweep, Train};

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
    /// Trains every combination of a grid of settings and ranks them.
    Sweep(Sweep),
    /// One HTML page that compares runs: curves, samples, configurations.
    Report(Report),
    /// Continue a prompt.
    Generate(Generate),
    /// Log-probabilities of a given text or tokens.
    Score(Score),
    /// Loss, perplexity and bits per byte on a corpus.
    Eval(Eval),
    /// Text to token ids and back.
    #[command(subcommand)]
    Tokenize(Tokenize),
    /// Corpora: prepare token shards, look at them, fetch well-known ones.
    #[command(subcommand)]
    Data(Data),
    /// How fast a part of this build is on this machine.
    #[command(subcommand)]
    Bench(Bench),
    /// A model for elsewhere: a Hugging Face directory or a GGUF file, in f32, bf16 or f16.
    Export(Export),
    /// Checks a model against published numbers.
    #[command(subcommand)]
    Verify(Verify),
    /// What a model, a run or this build is.
    Info(Info),
}

/// Where to compute.
#[derive(Args, Debug, Default, Clone)]
pub struct BackendArgs {
    /// Backend to compute with, of those built in (see `kiln info --backends`); default: the fastest.
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// Device of the backend: cpu, gpu:0, cuda:0, mps, …; default: libtorch's GPU where it finds one, else the backend's first.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}
