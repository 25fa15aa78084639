//! Activation patching, as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::common::{ModelArgs, PRINTING};

const PATCH_EXAMPLES: &str = "Examples:
  kiln patch --model gpt2 --clean \"The Eiffel Tower is in\" --corrupt \"The Colosseum Tower is in\" --answers \" Paris, Rome\"
  kiln patch --model tales --clean \"Leo had a red ball.\" --corrupt \"Mia had a red ball.\" --answers \" He, She\" --heads";

/// `kiln patch`
#[derive(Args, Debug)]
#[command(after_help = PATCH_EXAMPLES)]
pub struct Patch {
    /// Model: a directory, a .gguf file, the name of a run in runs/ or of a fetched model.
    #[arg(short, long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Text that the first answer would continue.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub clean: String,
    /// Text that the second answer would continue: as many tokens, and the same wherever it does not matter.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub corrupt: String,
    /// Two answers of one token each, as they would follow the text, spaces included: " Paris, Rome".
    #[arg(long, value_name = "A,B", allow_hyphen_values = true)]
    pub answers: String,
    /// Put the corrupt text's values into the clean text's run: what takes the answer away is needed for it. Without, the
    /// clean text's values go into the corrupt text's run: what brings the answer back is enough for it.
    #[arg(long)]
    pub noising: bool,
    /// Patch each head too: what it mixed (z), its queries, keys, values and pattern.
    #[arg(long)]
    pub heads: bool,
    /// Estimate every effect by a gradient too, and tell how well that agrees.
    #[arg(long)]
    pub attribution: bool,
    /// Tell too what the clean text loses without each head, attention layer and feed-forward network.
    #[arg(long, value_enum, value_name = "HOW")]
    pub ablate: Option<Ablate>,
    /// Draw the grids on an HTML page of its own.
    #[arg(help_heading = PRINTING, long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Tokenizer, for a model directory without one: gpt2, cl100k_base, …, or a directory.
    #[arg(long, value_name = "NAME|DIR")]
    pub tokenizer: Option<String>,
    #[command(flatten)]
    pub common: ModelArgs,
}

/// What takes the place of what is ablated.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ablate {
    /// Zeros.
    Zero,
    /// Its mean over all positions of both texts.
    Mean,
    /// What it is in the corrupt text.
    Resample,
}
