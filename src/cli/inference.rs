//! Generating, scoring and evaluating, as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::common::{ModelArgs, PRINTING};
use super::data::SourceArgs;

/// `kiln generate`
// Where llama.cpp and transformers call an option otherwise, their name works too.
#[derive(Args, Debug)]
#[command(after_help = GENERATE_EXAMPLES)]
pub struct Generate {
    /// Model or run: a directory, the name of a run in runs/ or of a fetched model; default: the newest run.
    #[arg(value_name = "MODEL|RUN", conflicts_with = "model")]
    pub target: Option<PathBuf>,
    /// The same as MODEL|RUN.
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Text to continue; - reads it from standard input, as does leaving it out where something is piped in. An
    /// empty one is the beginning of a text.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, alias = "start")]
    pub prompt: Option<String>,
    /// Continue the whole of a file.
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "prompt", alias = "file")]
    pub prompt_file: Option<PathBuf>,
    /// Continue each line of a file; of a .jsonl file, each line's string or its key "prompt"; - reads lines from
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "prompt_file"])]
    pub prompts: Option<PathBuf>,
    /// Take each prompt for what somebody says, and answer it: by the template of the model.
    #[arg(long)]
    pub chat: bool,
    /// Texts for each prompt; the first draws from --seed, each further one from the next number.
    #[arg(help_heading = LENGTH, short = 'n', long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    #[arg(aliases = ["n", "samples", "num_samples", "num-return-sequences", "num_return_sequences"])]
    pub num_samples: u32,
    /// Most tokens to add; -1: as many as it takes to the end of the text.
    #[arg(help_heading = LENGTH, long, value_name = "N", default_value = "200", value_parser = count, allow_negative_numbers = true)]
    #[arg(aliases = ["max_tokens", "max-new-tokens", "max_new_tokens", "n-predict", "predict"])]
    pub max_tokens: usize,
    /// End the text before this string, where \n, \t and \\ stand for a line break, a tab and a backslash; may be
    /// repeated.
    #[arg(help_heading = LENGTH, short = 'r', long, value_name = "TEXT", allow_hyphen_values = true)]
    #[arg(aliases = ["reverse-prompt", "stop-string", "stop-strings", "stop_strings"])]
    pub stop: Vec<String>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// Draw from this seed: the same one gives the same text; -1, or none: another one each time.
    #[arg(help_heading = CHOOSING, short, long, value_name = "S", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<i128>,
    /// Show the log-probability of each token, as the model gives it before anything below changes it.
    #[arg(help_heading = PRINTING, long)]
    pub logprobs: bool,
    /// With --json, show the N most probable tokens at each place too.
    #[arg(help_heading = PRINTING, long, value_name = "N", default_value_t = 0, alias = "n-probs", requires = "json")]
    pub top_logprobs: usize,
    /// Tokenizer, for a model directory without one: gpt2, cl100k_base, …, or a directory.
    #[arg(long, value_name = "NAME|DIR")]
    pub tokenizer: Option<String>,
    /// Compute every position again for every token.
    #[arg(long)]
    pub no_kv_cache: bool,
    #[command(flatten)]
    pub common: ModelArgs,
}

/// Headings of the help.
const LENGTH: &str = "How many texts, and how long";
const CHOOSING: &str = "How tokens are chosen";

const GENERATE_EXAMPLES: &str = "Examples:
  kiln generate --model runs/tales --prompt \"Lily and the\" --stop '!'
  echo \"Once upon a time\" | kiln generate --model runs/tales -n 3
  kiln generate --model runs/tales --prompts prompts.txt --json";

/// How tokens are chosen.
#[derive(Args, Debug, Clone)]
pub struct SamplingArgs {
    /// Sharpen the distribution below 1, flatten it above; 0 always takes the most probable token.
    #[arg(help_heading = CHOOSING, long, value_name = "T", default_value_t = 0.8, allow_negative_numbers = true, alias = "temp")]
    pub temperature: f64,
    /// Consider only the K most probable tokens; 0 and -1 consider all.
    #[arg(help_heading = CHOOSING, long, value_name = "K", default_value = "0", value_parser = top_k, allow_negative_numbers = true)]
    #[arg(alias = "top_k")]
    pub top_k: usize,
    /// Consider only the most probable tokens that together reach P.
    #[arg(help_heading = CHOOSING, long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true, alias = "top_p")]
    pub top_p: f64,
    /// Consider only tokens at least P times as probable as the most probable one; 0 considers all.
    #[arg(help_heading = CHOOSING, long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true, alias = "min_p")]
    pub min_p: f64,
    /// Divide the logits of tokens that occurred by this, or multiply them where they are negative; 1 changes
    /// nothing.
    #[arg(help_heading = CHOOSING, long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    #[arg(aliases = ["repeat_penalty", "repetition-penalty", "repetition_penalty"])]
    pub repeat_penalty: f64,
    /// Newest tokens that --repeat-penalty looks at, as in llama.cpp; -1: all, as in transformers.
    #[arg(help_heading = CHOOSING, long, value_name = "N", default_value = "64", value_parser = count, allow_negative_numbers = true)]
    #[arg(alias = "repeat_last_n")]
    pub repeat_last_n: usize,
}

/// A number, or -1 for no limit.
fn count(text: &str) -> Result<usize, String> {
    match text {
        "-1" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| "must be a whole number from 0 on, or -1 for no limit".to_owned()),
    }
}

/// A number, or -1 for all, which is 0.
fn top_k(text: &str) -> Result<usize, String> {
    match text {
        "-1" => Ok(0),
        _ => text.parse().map_err(|_| "must be a whole number from 0 on, or -1 for all".to_owned()),
    }
}

/// A seed, or -1 for any.
fn seed(text: &str) -> Result<i128, String> {
    match text.parse() {
        Ok(seed) if (-1..=i128::from(u64::MAX)).contains(&seed) => Ok(seed),
        _ => Err(format!("must be a whole number from 0 to {}, or -1 for any", u64::MAX)),
    }
}

/// `kiln score`
#[derive(Args, Debug)]
pub struct Score {
    /// Model: a directory, a .gguf file, the name of a run in runs/ or of a fetched model.
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    #[command(flatten)]
    pub input: ScoreInput,
    /// Write the logits, `[tokens, vocab]` in f32, as tensor `logits` of a safetensors file.
    #[arg(long, value_name = "FILE")]
    pub logits: Option<PathBuf>,
    /// Tokenizer, for a model directory without one: gpt2, cl100k_base, …, or a directory.
    #[arg(long, value_name = "NAME|DIR")]
    pub tokenizer: Option<String>,
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

/// Where the windows of an evaluation start.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowStarts {
    /// Each behind the one before.
    Consecutive,
    /// At documents, so that each is in sight from its beginning.
    Documents,
}

/// `kiln eval`
#[derive(Args, Debug)]
#[command(after_help = EVAL_EXAMPLES)]
pub struct Eval {
    /// Model or run: a directory, the name of a run in runs/ or of a fetched model; default: the newest run.
    #[arg(value_name = "MODEL|RUN")]
    pub target: Option<PathBuf>,
    /// The same as MODEL|RUN.
    #[arg(short, long, value_name = "MODEL", conflicts_with = "target")]
    pub model: Option<PathBuf>,
    /// Token shard, prepared folder (its validation split), or whatever --data of `kiln data prepare` takes: a file,
    /// a folder, `-` for standard input, …; default: the run's own validation split.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Where windows start: one behind the other, or at documents; default: as the run was evaluated, else consecutive.
    #[arg(long, value_enum, value_name = "HOW")]
    pub windows: Option<WindowStarts>,
    /// Windows computed together.
    #[arg(long, value_name = "B", default_value_t = 8)]
    pub batch_size: usize,
    #[command(flatten)]
    pub common: ModelArgs,
}
