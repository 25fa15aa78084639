//! The commands, a file or a folder for each: what was typed in, calls of the libraries, what is printed out.

mod bench;
mod data;
mod eval;
mod export;
mod generate;
mod info;
mod report;
mod score;
mod sweep;
mod tokenize;
mod train;
mod verify;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Cli, Command, Train};

/// Runs the command that was typed; `kiln` alone is `kiln train`.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command.unwrap_or_else(|| Command::Train(Train::default())) {
        Command::Train(args) => return train::run(args),
        Command::Sweep(args) => return sweep::run(args),
        Command::Verify(command) => return verify::run(command),
        Command::Generate(args) => generate::run(args)?,
        Command::Score(args) => score::run(args)?,
        Command::Eval(args) => eval::run(args)?,
        Command::Tokenize(command) => tokenize::run(command)?,
        Command::Data(command) => data::run(command)?,
        Command::Bench(command) => bench::run(command)?,
        Command::Export(args) => export::run(args)?,
        Command::Report(args) => report::run(args)?,
        Command::Info(args) => info::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}
