//! Exporting, verifying and describing models, as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kiln_model::Dtype;

use super::common::{AdapterArgs, BackendArgs};
use super::precision::in_files;

/// `kiln export`
#[derive(Args, Debug)]
pub struct Export {
    /// Model: a directory, a .gguf file, the name of a run in runs/ or of a fetched model.
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    #[command(flatten)]
    pub adapter: AdapterArgs,
    /// What to write: a directory with config.json, model.safetensors, tokenizer.json; or, with the ending .gguf,
    /// one file.
    #[arg(short = 'o', long, value_name = "DIR|FILE", alias = "output")]
    pub to: PathBuf,
    /// Layout; default: gguf where --to ends in .gguf, else hf.
    #[arg(long, value_enum)]
    pub format: Option<ExportFormat>,
    /// Number format of the weights.
    #[arg(long, value_parser = in_files(), default_value = "f32")]
    pub dtype: Dtype,
}

/// Layouts of exported models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A Hugging Face directory.
    Hf,
    /// One file for llama.cpp and the programs around it.
    Gguf,
}

const FETCH_EXAMPLES: &str = "Examples:
  kiln fetch gpt2                               GPT-2 124M; then: kiln generate --model gpt2
  kiln fetch openai-community/gpt2-medium       OWNER/NAME, as on huggingface.co
  kiln fetch distilgpt2 --out models/small      a folder of its own instead of the cache
  kiln fetch gpt2 --offline                     where it is, if it is here
  kiln fetch OWNER/NAME FILE.gguf               one file of llama.cpp
`kiln data fetch` fetches corpora.";

/// `kiln fetch`
#[derive(Args, Debug)]
#[command(after_help = FETCH_EXAMPLES, arg_required_else_help = true)]
pub struct Fetch {
    /// Model of the Hugging Face hub: NAME or OWNER/NAME, and @REVISION if you like.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// One GGUF file of the repository, in which the whole model is; default: what transformers reads.
    #[arg(value_name = "FILE.gguf")]
    pub file: Option<String>,
    /// Branch, tag or commit; default: main.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// Folder to write; default: the cache of Hugging Face, where --model finds the model by its name.
    #[arg(short = 'o', long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Use only what is here already.
    #[arg(long)]
    pub offline: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `kiln verify`
#[derive(Subcommand, Debug)]
pub enum Verify {
    /// Train GPT-2 124M for ten steps and compare the losses with those that llm.c published.
    Gpt2(VerifyGpt2),
}

/// `kiln verify gpt2`
#[derive(Args, Debug)]
pub struct VerifyGpt2 {
    /// Model directory with the weights of GPT-2 124M; default: gpt2, as `kiln fetch gpt2` fetches it.
    #[arg(long, value_name = "MODEL", default_value = "gpt2")]
    pub model: PathBuf,
    /// The text of tinyshakespeare, whose beginning the steps read; default: where `kiln data fetch tinyshakespeare`
    /// puts it.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// `kiln info`
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kiln info\n  kiln info tales\n  kiln info --backends")]
#[group(skip)]
pub struct Info {
    /// Model or run: a directory, the name of a run in runs/ or of a fetched model; default: the newest run.
    #[arg(value_name = "MODEL|RUN", group = "what")]
    pub target: Option<PathBuf>,
    /// Show architecture, parameters and tokenizer of a model or run directory.
    #[arg(long, value_name = "MODEL", group = "what")]
    pub model: Option<PathBuf>,
    /// Show how far the run in a run directory came, and how good it is.
    #[arg(long, value_name = "RUN_DIR", group = "what")]
    pub run: Option<PathBuf>,
    /// List the backends of this build.
    #[arg(long, group = "what")]
    pub backends: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
