//! Models as files, as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::BackendArgs;

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
