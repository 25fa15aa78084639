//! Generating, scoring and evaluating, as it is typed.

use std::path::PathBuf;

use clap::Args;

use super::{BackendArgs, Precision};

/// `kiln generate`
#[derive(Args, Debug)]
pub struct Generate {
    /// Model or run directory.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Text to continue.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: String,
    /// Most tokens to add.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub max_tokens: usize,
    /// Below 1 sharper, above 1 wilder; 0 always takes the most probable token.
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    pub temperature: f64,
    /// Considers only the K most probable tokens; 0 considers all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub top_k: usize,
    /// Considers only the most probable tokens that together reach P.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f64,
    /// The same seed gives the same text; default: another one each time.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Computes every position anew for every token.
    #[arg(long)]
    pub no_kv_cache: bool,
    /// Prints one JSON object instead of streaming the text.
    #[arg(long)]
    pub json: bool,
    /// Number format of the weights; fewer bits are faster to read, and cost a little exactness.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln score`
#[derive(Args, Debug)]
pub struct Score {
    /// Model or run directory.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    #[command(flatten)]
    pub input: ScoreInput,
    /// Writes the logits, `[tokens, vocab]` in f32, as tensor `logits` of a safetensors file.
    #[arg(long, value_name = "FILE")]
    pub logits: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Number format of the weights; fewer bits are faster to read, and cost a little exactness.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// What to score.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct ScoreInput {
    /// Text to score.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Token ids to score.
    #[arg(long, value_name = "1,2,3", value_delimiter = ',')]
    pub tokens: Option<Vec<u32>>,
}

/// `kiln eval`
#[derive(Args, Debug)]
pub struct Eval {
    /// Model or run directory.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Text file, folder of text files, token shard, or prepared folder (its validation split).
    #[arg(long, value_name = "PATH")]
    pub data: PathBuf,
    /// Windows computed together.
    #[arg(long, value_name = "B", default_value_t = 8)]
    pub batch_size: usize,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Number format of the weights; fewer bits are faster to read, and cost a little exactness, which is reported.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
    #[command(flatten)]
    pub backend: BackendArgs,
}
