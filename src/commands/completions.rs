//! `kiln completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;

use anyhow::Result;

use crate::Cli;
use crate::cli::common::Completions;
use crate::output;

pub fn run(args: Completions) -> Result<()> {
    // In memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kiln", &mut script);
    Ok(std::io::Write::write_all(&mut output::stdout(), &script)?)
}
