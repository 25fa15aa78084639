//! Measuring steering and making control vectors, as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::common::{BackendArgs, PRINTING};
use super::sae::{NamedSae, SaeArgs};

const EXAMPLES: &str = "Examples:
  kiln steer measure runs/sae --model runs/tales --word fox
  kiln steer export runs/sae --feature 17 --to fox.gguf
  kiln steer vector --model runs/tales --with foxes.txt --without others.txt --layer 2 --to fox.gguf
  kiln generate --model runs/tales --control-vector fox.gguf=4";

/// `kiln steer`
#[derive(Subcommand, Debug)]
#[command(after_help = EXAMPLES)]
pub enum Steer {
    /// Turn up the feature that says a word, and measure what becomes of the model's texts, beside every simpler way.
    Measure(SteerMeasure),
    /// Write the direction of a feature as a control vector, which llama.cpp and `--control-vector` take.
    Export(SteerExport),
    /// Make a control vector of two lists of texts: where one kind differs from the other.
    Vector(SteerVector),
}

/// `kiln steer measure`
#[derive(Args, Debug)]
pub struct SteerMeasure {
    #[command(flatten)]
    pub common: SaeArgs,
    /// The word.
    #[arg(long, value_name = "WORD")]
    pub word: String,
    /// Turn this feature, instead of the one that raises the word most.
    #[arg(long, value_name = "N")]
    pub feature: Option<usize>,
    /// Strengths, in mean norms of the residual stream.
    #[arg(
        long,
        value_name = "S,…",
        value_delimiter = ',',
        default_value = "0.1,0.2,0.3,0.4,0.5,0.75,1",
        allow_negative_numbers = true
    )]
    pub strengths: Vec<f32>,
    /// Stories of each way at each strength.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub stories: u32,
    /// Most tokens of a story; default: what the model's context has room for.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// A beginning that asks for the word; default: "Leo and the hungry WORD".
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Draw how often each way has the word, by its strength.
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long, help_heading = PRINTING)]
    pub json: bool,
}

/// `kiln steer export`
#[derive(Args, Debug)]
pub struct SteerExport {
    #[command(flatten)]
    pub sae: NamedSae,
    /// Number of the feature.
    #[arg(long, value_name = "N")]
    pub feature: usize,
    /// How much of it the file has, in mean norms of the residual stream: what a program adds that knows of no strength.
    #[arg(long, value_name = "S", default_value_t = 1.0, allow_negative_numbers = true)]
    pub strength: f32,
    /// File to write.
    #[arg(short = 'o', long, value_name = "FILE.gguf")]
    pub to: PathBuf,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln steer vector`
#[derive(Args, Debug)]
pub struct SteerVector {
    /// Model: a directory, a .gguf file, the name of a run in runs/ or of a fetched model.
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Texts of one kind, one a line: the direction leads to them.
    #[arg(long, value_name = "FILE", alias = "positive")]
    pub with: PathBuf,
    /// Texts of the other kind, one a line.
    #[arg(long, value_name = "FILE", alias = "negative")]
    pub without: PathBuf,
    /// The block behind which it is added, counted from zero; may be repeated.
    #[arg(long, value_name = "L", required = true, value_delimiter = ',')]
    pub layer: Vec<usize>,
    /// File to write.
    #[arg(short = 'o', long, value_name = "FILE.gguf")]
    pub to: PathBuf,
    #[command(flatten)]
    pub backend: BackendArgs,
}
