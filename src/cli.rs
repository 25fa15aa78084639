//! The command line as it is typed.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use kiln_datasets::{CORPORA, DEFAULT_FIELD, Format};

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
    /// Device of the backend: cpu, gpu:0, cuda:0, mps, …; default: the backend's first.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
}

/// `kiln train`
#[derive(Args, Debug, Default)]
pub struct Train {
    /// The run's configuration; default: ./Config.toml if there is one, else the one built in.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Changes one key of the configuration; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Where the run is written; default: training.run_dir, or the next free runs/NAME.
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Continue the run in --run-dir from its newest checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Start from the weights and tokenizer of a model instead of random ones.
    #[arg(long, value_name = "MODEL_DIR", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
    /// Plain lines instead of the dashboard.
    #[arg(long)]
    pub plain: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln sweep`
#[derive(Args, Debug)]
pub struct Sweep {
    /// The configuration that all runs share; default: ./Config.toml if there is one, else the one built in.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Changes one key of it; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Values to try for a key; may be repeated, and then every combination is tried.
    #[arg(long, value_name = "SECTION.KEY=VALUE,…", required = true, num_args = 1..)]
    pub grid: Vec<String>,
    /// Where the runs are written; the same command again continues there.
    #[arg(long, value_name = "DIR", default_value = "runs/sweep")]
    pub dir: PathBuf,
    /// Plain lines instead of the dashboard.
    #[arg(long)]
    pub plain: bool,
    /// Prints the table as one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln report`
#[derive(Args, Debug)]
pub struct Report {
    /// Run directories.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The page to write.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub to: PathBuf,
}

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
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln tokenize`
#[derive(Subcommand, Debug)]
pub enum Tokenize {
    /// Text to token ids.
    Encode {
        /// byte, gpt2, cl100k_base, o200k_base, or a model, run or tokenizer directory.
        #[arg(long, value_name = "NAME|DIR")]
        tokenizer: String,
        #[command(flatten)]
        input: EncodeInput,
        /// Special tokens that are written out in the text, such as <|endoftext|>, become their ids.
        #[arg(long)]
        special: bool,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Token ids to text.
    Decode {
        /// byte, gpt2, cl100k_base, o200k_base, or a model, run or tokenizer directory.
        #[arg(long, value_name = "NAME|DIR")]
        tokenizer: String,
        /// Token ids.
        #[arg(long, value_name = "1,2,3", value_delimiter = ',')]
        tokens: Vec<u32>,
    },
    /// Learns a byte-level BPE from text and writes it as a tokenizer directory.
    Train {
        /// File, folder, pattern, `-` for standard input, or `cargo` for the Rust code in your cargo registry; may be
        /// repeated.
        #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
        data: Vec<String>,
        #[command(flatten)]
        source: SourceArgs,
        /// Most tokens to learn, the 256 bytes and end-of-text included.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(257..))]
        vocab_size: u32,
        /// Directory for tokenizer.json and tokenizer_config.json.
        #[arg(long, value_name = "DIR", visible_alias = "to")]
        out: PathBuf,
    },
}

/// What to encode.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct EncodeInput {
    /// Text to encode.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// File to encode.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `kiln data`
#[derive(Subcommand, Debug)]
pub enum Data {
    /// Text to token shards for training; continues where an earlier attempt was cut off.
    Prepare(Prepare),
    /// Tokens, documents, bytes per token, lengths and first lines of a corpus.
    Info(DataInfo),
    /// Downloads a well-known corpus, or a dataset of the Hugging Face hub.
    Fetch(Fetch),
}

/// What to read, and how.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// In folders, only files that match: `*.rs` by name, `src/**/*.rs` by path; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// In folders, no file that matches; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Field or column that holds the text; a number picks a column of a file without a header row.
    #[arg(long, visible_alias = "column", value_name = "NAME", default_value = DEFAULT_FIELD)]
    pub field: String,
    /// Format of the files, if their names do not tell.
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    pub format: Option<Format>,
    /// Replaces bytes that are not UTF-8 by U+FFFD.
    #[arg(long)]
    pub lossy: bool,
}

/// The library's formats, by name.
fn formats() -> impl TypedValueParser<Value = Format> {
    let values = Format::ALL.map(|format| PossibleValue::new(format.name()).help(format.description()));
    let known = |name: String| Format::ALL.into_iter().find(|format| format.name() == name);
    PossibleValuesParser::new(values).try_map(move |name| known(name).ok_or("no format"))
}

/// `kiln data prepare`
#[derive(Args, Debug)]
pub struct Prepare {
    /// File, folder, pattern, `-` for standard input, or `cargo` for the Rust code in your cargo registry; may be
    /// repeated.
    #[arg(long, required = true, value_name = "PATH")]
    pub data: Vec<String>,
    /// char, byte, gpt2, cl100k_base, o200k_base, or a model, run or tokenizer directory.
    #[arg(long, value_name = "NAME|DIR")]
    pub tokenizer: String,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub source: SourceArgs,
    /// How many times to take the documents of each --data for training: 2 is twice, 0.5 every other one.
    #[arg(long, value_name = "W,W,…", value_delimiter = ',')]
    pub weights: Vec<f64>,
    /// Share of the documents that is kept for validation; a single text is cut.
    #[arg(long, value_name = "F", default_value_t = 0.1)]
    pub valid_fraction: f64,
    /// With the content of a document, decides its split.
    #[arg(long, value_name = "S", default_value_t = 1337)]
    pub seed: u64,
    /// Drops documents that have been there before, byte for byte.
    #[arg(long)]
    pub dedup: bool,
    /// Counts bad documents and goes on.
    #[arg(long)]
    pub skip_bad: bool,
    /// Threads that encode; default: one for each core.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `kiln data info`
#[derive(Args, Debug)]
pub struct DataInfo {
    /// Token shard, folder of shards, or whatever --data of `kiln data prepare` takes.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Tokenizer of text, or of a shard that does not name its own; default: gpt2.
    #[arg(long, value_name = "NAME|DIR")]
    pub tokenizer: Option<String>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `kiln data fetch`
#[derive(Args, Debug)]
pub struct Fetch {
    #[arg(value_name = "NAME", help = corpora())]
    pub name: String,
    /// Folder to write; default: the cache of Hugging Face for its datasets, data/NAME for others.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only what is here already.
    #[arg(long)]
    pub offline: bool,
}

fn corpora() -> String {
    let names = CORPORA.map(|corpus| corpus.name).join(", ");
    format!("{names}, or `hf://datasets/OWNER/NAME[@REVISION][/GLOB]`")
}

/// `kiln bench`
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Megabytes of text encoded in a second, on one thread and on several, beside tiktoken-rs.
    Tokenize(BenchTokenize),
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `kiln export`
#[derive(Args, Debug)]
pub struct Export {
    /// Model or run directory.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// What to write: a directory with config.json, model.safetensors, tokenizer.json; or one GGUF file.
    #[arg(long, value_name = "DIR|FILE")]
    pub to: PathBuf,
    /// Layout.
    #[arg(long, value_enum, default_value_t = ExportFormat::Hf)]
    pub format: ExportFormat,
    /// Number format of the weights.
    #[arg(long, value_enum, default_value_t = ExportDtype::F32)]
    pub dtype: ExportDtype,
}

/// Layouts of exported models.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExportFormat {
    /// A Hugging Face directory.
    Hf,
    /// One file for llama.cpp and the programs around it.
    Gguf,
}

/// Number formats of exported weights.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExportDtype {
    /// 32-bit IEEE.
    F32,
    /// 16-bit brain float.
    Bf16,
    /// 16-bit IEEE.
    F16,
}

/// `kiln verify`
#[derive(Subcommand, Debug)]
pub enum Verify {
    /// Trains GPT-2 124M for ten steps and compares the losses with those that llm.c published.
    Gpt2(VerifyGpt2),
}

/// `kiln verify gpt2`
#[derive(Args, Debug)]
pub struct VerifyGpt2 {
    /// Model directory with the weights of GPT-2 124M.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// The text of tinyshakespeare, whose beginning the steps read.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln info`
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Info {
    /// Model or run directory: architecture, parameters, tokenizer.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Run directory: how far it came, and how good it is.
    #[arg(long, value_name = "RUN_DIR")]
    pub run: Option<PathBuf>,
    /// The backends of this build.
    #[arg(long)]
    pub backends: bool,
}
