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

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    kiln_model::keep_freed_memory();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", failure::message(&error));
            ExitCode::from(failure::exit_code(&error))
        }
    }
}
