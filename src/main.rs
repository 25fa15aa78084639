//! `kiln`: raw text in, a language model out.
//!
//! Parses the command line, hands it to one file of `commands/`, and turns the outcome into an exit code: 0
//! done, 1 it failed, 2 the command or a file's contents were wrong, 130 interrupted (143 by SIGTERM, 129 by
//! SIGHUP).

#![recursion_limit = "256"]

mod backend;
mod cli;
mod commands;
mod failure;
mod files;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use self::commands::Command;

/// Raw text in, a language model out.
#[derive(Parser, Debug)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    /// What to do; without a command, `train`.
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_default();
    kiln_model::keep_freed_memory();
    match command.run() {
        Ok(code) => code,
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", failure::message(&error));
            ExitCode::from(failure::exit_code(&error))
        }
    }
}
