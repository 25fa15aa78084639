//! `kiln`: raw text in, a language model out.
//!
//! Parses the command line, hands it to one file of `commands/`, and turns the outcome into an exit code: 0
//! done, 1 it failed, 2 the command or a file's contents were wrong, 130 interrupted (143 by SIGTERM, 129 by
//! SIGHUP).

#![recursion_limit = "256"]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod backend;
mod cli;
mod commands;
mod contents;
mod failure;
mod files;
mod nearest;
mod output;
mod settings;
mod signals;
mod threads;
mod word_wrap;

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use self::commands::Command;

/// Raw text in, a language model out.
#[derive(Parser, Debug)]
#[command(version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    /// What to do; without a command, `train`.
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  kiln                                          train on stories that the program makes up
  kiln train my-book.txt                        train on a text of your own
  kiln runs                                     the runs so far
  kiln info                                     how the newest one went
  kiln generate --prompt \"Once upon a time\"    continue a text
  kiln train --resume                           resume the newest run
  kiln fetch gpt2                               a published model, to use as --model gpt2
  kiln help train                               more about one command";

fn main() -> ExitCode {
    let (command, arguments) = (cli::accept_negative_numbers(Cli::command()), cli::arguments());
    let matches = command.clone().try_get_matches_from(&arguments);
    let matches = matches.unwrap_or_else(|error| cli::advise(error, &command, &arguments).exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let command = cli.command.unwrap_or_default();
    let reading = command.reading();
    kiln_model::keep_freed_memory();
    match run(command) {
        Ok(code) => code,
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_message(format_args!("error: {}", failure::message(&error, reading)));
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    signals::catch_file_size_limit()?;
    if command.computes() {
        threads::start()?;
    }
    command.run()
}
