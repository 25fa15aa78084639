//! `kiln sae`: the directions of which a model's vectors are sums.

mod eval;
mod features;
mod job;
mod learn;
mod opened;
mod page;
mod recipe;
mod resume;
mod texts;
mod train;

pub use self::opened::{Opened, directory};

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::sae::Sae;

pub fn run(command: Sae) -> Result<ExitCode> {
    match command {
        Sae::Train(args) => return train::run(args),
        Sae::Eval(args) => eval::run(args)?,
        Sae::Features(args) => features::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}
