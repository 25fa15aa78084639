//! The commands, a file or a folder for each: what was typed in, calls of the libraries, what is printed out.

mod bench;
mod chat;
pub mod classify;
mod completions;
mod config;
mod data;
mod doctor;
mod download_bar;
mod eval;
mod explain;
mod export;
mod fetch;
mod finetune;
mod generate;
mod hub_model;
mod info;
pub mod newest;
mod patch;
mod report;
pub mod run_folder;
mod runs;
mod sae;
mod score;
#[cfg(feature = "serve")]
mod serve;
pub mod shell;
mod steer;
mod steering;
mod sweep;
mod token_table;
mod tokenize;
mod train;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::cli::bench::Bench;
use crate::cli::chat::Chat;
use crate::cli::common::{Completions, Doctor};
use crate::cli::data::{Data, Tokenize};
use crate::cli::explain::Explain;
use crate::cli::finetune::{Classify, Finetune};
use crate::cli::inference::{Eval, Generate, Score};
use crate::cli::models::{Export, Fetch, Info, Verify};
use crate::cli::patch::Patch;
use crate::cli::sae::Sae;
#[cfg(feature = "serve")]
use crate::cli::serve::Serve;
use crate::cli::steer::Steer;
use crate::cli::training::{Config, Report, Runs, Sweep, Train};
use crate::failure::Reading;

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Train a model; without options, on the embedded corpus.
    Train(Train),
    /// Tune a model for a task: labels, answers, or preferences.
    #[command(subcommand, aliases = ["tune", "fine-tune"])]
    Finetune(Finetune),
    /// Train every combination of a grid of settings and rank them.
    Sweep(Sweep),
    /// List the runs of a folder, newest first.
    #[command(aliases = ["list", "ls"])]
    Runs(Runs),
    /// Compare runs on one HTML page: curves, samples, configurations.
    Report(Report),
    /// Continue a prompt.
    Generate(Generate),
    /// Talk with a model.
    Chat(Chat),
    /// Answer over HTTP, as OpenAI's interface does, with a page to chat on.
    #[cfg(feature = "serve")]
    #[command(alias = "server")]
    Serve(Serve),
    /// Tell the label of a text, by a model tuned for that.
    Classify(Classify),
    /// Show the log-probability of each token of a text.
    Score(Score),
    /// Show every number on the way from a text to its next token: in the terminal, as JSON, or on one HTML page.
    Explain(Explain),
    /// Tell which value, moved from one text's run into another's, changes the answer.
    Patch(Patch),
    /// Take what a model has in mind apart, by a sparse autoencoder.
    #[command(subcommand)]
    Sae(Sae),
    /// Turn features up or down: what that does to a model's texts, and control vectors.
    #[command(subcommand)]
    Steer(Steer),
    /// Measure loss, perplexity and bits per byte on a corpus.
    Eval(Eval),
    /// Turn text into token ids and back, or learn a tokenizer.
    #[command(subcommand)]
    Tokenize(Tokenize),
    /// Prepare a corpus as token shards, look at it, or fetch a well-known one.
    #[command(subcommand)]
    Data(Data),
    /// Measure how fast a part of this build is on this machine.
    #[command(subcommand)]
    Bench(Bench),
    /// Fetch a model of the Hugging Face hub by its name, such as gpt2.
    #[command(aliases = ["download", "pull"])]
    Fetch(Fetch),
    /// Write a model for other programs: a Hugging Face directory or a GGUF file, in f32, bf16 or f16.
    Export(Export),
    /// Check a model against published numbers.
    #[command(subcommand)]
    Verify(Verify),
    /// Show what a model, a run or this build is.
    Info(Info),
    /// List every key of a run's configuration with its default and its meaning.
    Config(Config),
    /// Check what of this machine can be used, and how fast it is.
    Doctor(Doctor),
    /// Print what a shell needs to complete commands and options.
    Completions(Completions),
}

impl Default for Command {
    /// `kiln` alone is `kiln train`.
    fn default() -> Self {
        Self::Train(Train::default())
    }
}

impl Command {
    /// Whether it needs threads.
    pub fn computes(&self) -> bool {
        !matches!(
            self,
            Self::Report(_)
                | Self::Runs(_)
                | Self::Fetch(_)
                | Self::Info(_)
                | Self::Config(_)
                | Self::Completions(_)
        )
    }

    /// How it is told how to read a text.
    pub fn reading(&self) -> Reading {
        match self {
            Self::Train(_) | Self::Sweep(_) | Self::Finetune(_) | Self::Sae(_) => Reading::Settings,
            Self::Tokenize(_) | Self::Data(_) | Self::Eval(_) => Reading::Options,
            _ => Reading::Fixed,
        }
    }

    /// Runs the command; the exit code is that of a command that did not fail.
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Train(args) => return train::run(args),
            Self::Finetune(args) => return finetune::run(args),
            Self::Sweep(args) => return sweep::run(args),
            Self::Sae(command) => return sae::run(command),
            Self::Verify(command) => return verify::run(command),
            #[cfg(feature = "serve")]
            Self::Serve(args) => return serve::run(args),
            Self::Generate(args) => generate::run(args)?,
            Self::Chat(args) => chat::run(args)?,
            Self::Classify(args) => classify::run(args)?,
            Self::Score(args) => score::run(args)?,
            Self::Explain(args) => explain::run(args)?,
            Self::Patch(args) => patch::run(args)?,
            Self::Eval(args) => eval::run(args)?,
            Self::Steer(command) => steer::run(command)?,
            Self::Tokenize(command) => tokenize::run(command)?,
            Self::Data(command) => data::run(command)?,
            Self::Bench(command) => bench::run(command)?,
            Self::Fetch(args) => fetch::run(args)?,
            Self::Export(args) => export::run(args)?,
            Self::Report(args) => report::run(args)?,
            Self::Info(args) => info::run(args)?,
            Self::Runs(args) => runs::run(args)?,
            Self::Config(args) => config::run(args)?,
            Self::Doctor(args) => doctor::run(args)?,
            Self::Completions(args) => completions::run(args)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
