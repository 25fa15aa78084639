//! Conversations as the model reads them.

use anyhow::{Result, bail};
use kiln_datasets::Tokenizer;
use kiln_inference::ModelFiles;

use crate::commands::finetune::instruct::Instructions;
use crate::settings::Settings;

pub fn read(_: &Settings, _: &ModelFiles, _: &Tokenizer) -> Result<Instructions> {
    bail!("not yet")
}
