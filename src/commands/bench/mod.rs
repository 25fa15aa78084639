//! `kiln bench`: how fast a part of this build is on this machine.

mod generation;
mod model;
mod spread;
mod tokenize;
mod train;

use anyhow::Result;

use crate::cli::bench::Bench;

pub fn run(command: Bench) -> Result<()> {
    match command {
        Bench::Train(args) => train::run(args),
        Bench::Decode(args) => generation::decode(args),
        Bench::Prefill(args) => generation::prefill(args),
        Bench::Tokenize(args) => tokenize::run(args),
    }
}
