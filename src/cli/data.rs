//! Tokenizers and corpora, as they are typed.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use kiln_datasets::{CORPORA, DEFAULT_FIELD, Format, STANDARD_INPUT};

use super::common::MOST_THREADS;

/// `kiln tokenize`
#[derive(Subcommand, Debug)]
pub enum Tokenize {
    /// Turn text into token ids.
    Encode {
        /// byte, gpt2, cl100k_base, o200k_base, or a model, run or tokenizer directory.
        #[arg(long, value_name = "NAME|DIR", default_value = "gpt2")]
        tokenizer: String,
        #[command(flatten)]
        input: EncodeInput,
        /// Encode as a prompt is: special tokens that are written out, such as <|endoftext|>, as their ids, after
        /// those that the tokenizer puts before every text.
        #[arg(long)]
        special: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Turn token ids into text.
    Decode {
        /// byte, gpt2, cl100k_base, o200k_base, or a model, run or tokenizer directory.
        #[arg(long, value_name = "NAME|DIR", default_value = "gpt2")]
        tokenizer: String,
        /// Token ids, with commas or spaces between them; `-`, or none: standard input.
        #[arg(long, value_name = "1,2,3", default_value = STANDARD_INPUT, hide_default_value = true)]
        tokens: TokenIds,
    },
    /// Learn a byte-level BPE from text and write it as a tokenizer directory.
    Train {
        /// File, folder, pattern, `-` for standard input, or `cargo` for the Rust code in your cargo
        /// registry; may be repeated.
        #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
        data: Vec<String>,
        #[command(flatten)]
        source: SourceArgs,
        /// Most tokens to learn, the 256 bytes and end-of-text included.
        #[arg(long, value_name = "N", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(257..))]
        vocab_size: u32,
        /// Directory for tokenizer.json and tokenizer_config.json.
        #[arg(long, value_name = "DIR", visible_alias = "to")]
        out: PathBuf,
    },
}

/// Token ids as they are typed, or printed by `kiln tokenize encode`.
#[derive(Clone, Debug)]
pub enum TokenIds {
    /// On the command line.
    Typed(Vec<u32>),
    /// To be read from standard input.
    Piped,
}

impl FromStr for TokenIds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == STANDARD_INPUT { Ok(Self::Piped) } else { token_ids(text).map(Self::Typed) }
    }
}

/// `1,2,3`, `1 2 3`, or `[1, 2, 3]`.
pub fn token_ids(text: &str) -> Result<Vec<u32>, String> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ids = text.split(|letter: char| letter == ',' || letter.is_whitespace()).filter(|id| !id.is_empty());
    ids.map(|id| id.parse().map_err(|_| format!("{id:?} is not a token id"))).collect()
}

/// What to encode; default: standard input.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct EncodeInput {
    /// Text to encode.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// File to encode, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `kiln data`
#[derive(Subcommand, Debug)]
pub enum Data {
    /// Turn text into token shards for training; resume where an earlier attempt was cut off.
    Prepare(Prepare),
    /// Show tokens, documents, bytes per token, lengths and first lines of a corpus.
    Info(DataInfo),
    /// Download a well-known corpus, or a dataset of the Hugging Face hub.
    Fetch(Fetch),
}

/// What to read, and how.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// Read only files of a folder that match: `*.rs` by name, `src/**/*.rs` by path; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// Skip files of a folder that match; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Field or column that holds the text; a number picks a column of a file without a header row.
    #[arg(long, visible_alias = "column", value_name = "NAME", default_value = DEFAULT_FIELD)]
    pub field: String,
    /// Format of the files, if their names do not tell.
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    pub format: Option<Format>,
    /// Replace bytes that are not UTF-8 by U+FFFD.
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
    /// File, folder, pattern, `-` for standard input, or `cargo` for the Rust code in your cargo registry;
    /// may be repeated.
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
    /// Seed that decides, with the content of a document, its split.
    #[arg(long, value_name = "S", default_value_t = 1337)]
    pub seed: u64,
    /// Drop documents that have been there before, byte for byte.
    #[arg(long)]
    pub dedup: bool,
    /// Count bad documents and go on.
    #[arg(long)]
    pub skip_bad: bool,
    /// Threads that encode; default: one for each core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    pub threads: Option<u16>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `kiln data info`
#[derive(Args, Debug)]
pub struct DataInfo {
    /// Token shard, folder of shards, or whatever --data of `kiln data prepare` takes, `-` among it.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Tokenizer of text, or of a shard that does not name its own; default: gpt2.
    #[arg(long, value_name = "NAME|DIR")]
    pub tokenizer: Option<String>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Print one JSON object.
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
    /// Use only what is here already.
    #[arg(long)]
    pub offline: bool,
}

fn corpora() -> String {
    let names = CORPORA.map(|corpus| corpus.name).join(", ");
    format!("{names}, or `hf://datasets/OWNER/NAME[@REVISION][/GLOB]`")
}
