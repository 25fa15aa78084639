//! Explaining a text, as it is typed.

use std::path::PathBuf;

use clap::Args;
use kiln_inference::explain::View;

use super::common::{AdapterArgs, BackendArgs, PRINTING};

const EXAMPLES: &str = "Views: tokens, shapes, norm, head, heads, dropout, mlp, residual, gradients, lens, sampling, attribution, patching, \
features

Examples:
  kiln explain --model gpt2 --text \"The cat sat on the mat\"
  kiln explain --model gpt2 --text \"The cat sat on the mat\" --html cat.html
  kiln explain --model gpt2 --text \"The cat sat on the\" --view head --layer 4 --head 11
  kiln explain --model gpt2 --text \"The cat sat on the\" --view attribution --answers \" mat, floor\"";

/// `kiln explain`
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// Model: a directory, a .gguf file, the name of a run in runs/ or of a fetched model.
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    #[command(flatten)]
    pub input: ExplainInput,
    /// Write all of it to one HTML page.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show one view: see below.
    #[arg(long, value_name = "VIEW")]
    pub view: Option<View>,
    /// Block to look into, from 0; default: the first.
    #[arg(long, value_name = "L")]
    pub layer: Option<usize>,
    /// Head to look into, from 0; default: the first.
    #[arg(long, value_name = "H")]
    pub head: Option<usize>,
    /// Position to look at, from 0; default: the last.
    #[arg(long, value_name = "P", alias = "position")]
    pub pos: Option<usize>,
    /// Another text with as many tokens, for `patching`: what of --text brings its answer back?
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, requires = "answers")]
    pub corrupt: Option<String>,
    /// The two next tokens that `attribution` and `patching` compare, as texts; default: the two most probable ones.
    #[arg(long, value_name = "A,B", allow_hyphen_values = true)]
    pub answers: Option<String>,
    /// Write every value of the pass to a safetensors file, under the names of TransformerLens.
    #[arg(long, value_name = "FILE")]
    pub cache: Option<PathBuf>,
    /// Sparse autoencoder whose features are shown: a directory.
    #[arg(long, value_name = "DIR")]
    pub sae: Option<PathBuf>,
    /// Tokenizer, for a model directory without one: gpt2, cl100k_base, …, or a directory.
    #[arg(long, value_name = "NAME|DIR")]
    pub tokenizer: Option<String>,
    #[command(flatten)]
    pub adapter: AdapterArgs,
    /// Print one JSON object.
    #[arg(long, help_heading = PRINTING)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}

/// What to explain.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct ExplainInput {
    /// Text to explain.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Token ids to explain.
    #[arg(long, value_name = "1,2,3", value_delimiter = ',')]
    pub tokens: Option<Vec<u32>>,
}
