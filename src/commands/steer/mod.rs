//! `kiln steer`: what steering does to a model's texts, and control vectors.

mod curve;
mod export;
mod measure;
mod table;
mod vector;

use anyhow::Result;

use crate::cli::steer::Steer;

pub fn run(command: Steer) -> Result<()> {
    match command {
        Steer::Measure(args) => measure::run(args),
        Steer::Export(args) => export::run(&args),
        Steer::Vector(args) => vector::run(args),
    }
}
