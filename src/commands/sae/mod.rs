//! `kiln sae`: the directions of which a model's vectors are sums.

mod job;
mod recipe;
mod resume;
mod texts;
mod train;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cli::sae::Sae;

pub fn run(command: Sae) -> Result<ExitCode> {
    match command {
        Sae::Train(args) => train::run(args),
        Sae::Eval(_) | Sae::Features(_) => bail!("not yet"),
    }
}
