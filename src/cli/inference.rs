//! Generating, scoring and evaluating, as it is typed.

use std::path::PathBuf;

use clap::Args;

use super::common::ModelArgs;
use super::data::SourceArgs;

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
    /// Sharpen the distribution below 1, flatten it above; 0 always takes the most probable token.
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    pub temperature: f64,
    /// Consider only the K most probable tokens; 0 considers all.
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub top_k: usize,
    /// Consider only the most probable tokens that together reach P.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f64,
    /// Draw from this seed: the same one gives the same text; default: another one each time.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Compute every position again for every token.
    #[arg(long)]
    pub no_kv_cache: bool,
    #[command(flatten)]
    pub common: ModelArgs,
}

/// `kiln score`
#[derive(Args, Debug)]
pub struct Score {
    /// Model or run directory.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    #[command(flatten)]
    pub input: ScoreInput,
    /// Write the logits, `[tokens, vocab]` in f32, as tensor `logits` of a safetensors file.
    #[arg(long, value_name = "FILE")]
    pub logits: Option<PathBuf>,
    #[command(flatten)]
    pub common: ModelArgs,
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

const EVAL_EXAMPLES: &str = "Examples:
  kiln eval                                   the newest run on its own validation text
  kiln eval tales --data another-book.txt";

/// `kiln eval`
#[derive(Args, Debug)]
#[command(after_help = EVAL_EXAMPLES)]
pub struct Eval {
    /// Model or run: a directory, or the name of a run in runs/; default: the newest run.
    #[arg(value_name = "MODEL|RUN")]
    pub target: Option<PathBuf>,
    /// Model or run directory.
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    pub model: Option<PathBuf>,
    /// Token shard, prepared folder (its validation split), or whatever --data of `kiln data prepare` takes: a file,
    /// a folder, `-` for standard input, …; default: the run's own validation split.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Windows computed together.
    #[arg(long, value_name = "B", default_value_t = 8)]
    pub batch_size: usize,
    #[command(flatten)]
    pub common: ModelArgs,
}
