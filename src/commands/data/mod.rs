//! `kiln data`: from any pile of files to token shards.

mod fetch;
mod info;
mod prepare;
mod progress;
mod source;

use anyhow::Result;

pub use self::progress::Preparing;
use crate::cli::data::Data;

pub fn run(command: Data) -> Result<()> {
    match command {
        Data::Prepare(args) => prepare::run(args),
        Data::Info(args) => info::run(args),
        Data::Fetch(args) => fetch::run(args),
    }
}
