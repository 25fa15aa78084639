//! Options that several commands share.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use kiln_model::Precision;

use super::precision::in_memory;

/// The heading of the options that are alike in all commands.
pub const COMPUTING: &str = "Where to compute";

/// The heading of the options that say what comes out.
pub const PRINTING: &str = "What is printed";

/// Threads that can be asked for at most: the system may refuse more, and nothing would be faster.
pub const MOST_THREADS: i64 = 1024;

/// Where to compute.
#[derive(Args, Debug, Default, Clone)]
pub struct BackendArgs {
    /// Backend to compute with, of those built in (see `kiln info --backends`); default: the fastest.
    #[arg(long, value_name = "NAME", help_heading = COMPUTING)]
    pub backend: Option<String>,
    /// Device of the backend: cpu, gpu:0, cuda:0, mps, …; default: libtorch's GPU where it finds one, else
    /// the backend's first.
    #[arg(long, value_name = "DEVICE", help_heading = COMPUTING)]
    pub device: Option<String>,
}

/// What a model has learned besides.
#[derive(Args, Debug, Default, Clone)]
pub struct AdapterArgs {
    /// LoRA adapter of the model, as PEFT or `kiln finetune` wrote it: its directory, or a run that has one.
    #[arg(long, value_name = "DIR|RUN")]
    pub adapter: Option<PathBuf>,
}

/// How to compute with a model, and how to print what came out.
#[derive(Args, Debug, Clone)]
pub struct ModelArgs {
    #[command(flatten)]
    pub adapter: AdapterArgs,
    /// Print one JSON object.
    #[arg(long, help_heading = PRINTING)]
    pub json: bool,
    /// Number format of the weights; fewer bits are read faster and cost a little accuracy.
    #[arg(long, value_parser = in_memory(), default_value = "f32", help_heading = COMPUTING)]
    pub dtype: Precision,
    #[command(flatten)]
    pub backend: BackendArgs,
}

const COMPLETIONS_EXAMPLES: &str = "Examples:
  kiln completions bash > ~/.local/share/bash-completion/completions/kiln
  kiln completions zsh > ~/.zfunc/_kiln
  kiln completions fish > ~/.config/fish/completions/kiln.fish";

/// `kiln completions`
#[derive(Args, Debug)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct Completions {
    /// The shell to complete for.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `kiln doctor`
#[derive(Args, Debug)]
pub struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub backend: BackendArgs,
}
