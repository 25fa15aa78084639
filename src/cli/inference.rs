//! Generating, scoring and evaluating, as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::common::{ModelArgs, PRINTING};
use super::data::SourceArgs;
use super::sampling::{SamplingArgs, count, stop};
use super::steering::SteeringArgs;

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
    #[arg(help_heading = LENGTH, short = 'r', long, value_name = "TEXT", value_parser = stop, allow_hyphen_values = true)]
    #[arg(aliases = ["reverse-prompt", "stop-string", "stop-strings", "stop_strings"])]
    pub stop: Vec<String>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
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
    pub steering: SteeringArgs,
    #[command(flatten)]
    pub common: ModelArgs,
}

/// A heading of the help.
const LENGTH: &str = "How many texts, and how long";

const GENERATE_EXAMPLES: &str = "Examples:
  kiln generate --model runs/tales --prompt \"Lily and the\" --stop '!'
  echo \"Once upon a time\" | kiln generate --model runs/tales -n 3
  kiln generate --model runs/tales --prompts prompts.txt --json";

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
    pub steering: SteeringArgs,
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
    pub steering: SteeringArgs,
    #[command(flatten)]
    pub common: ModelArgs,
}
