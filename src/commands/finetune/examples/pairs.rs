//! Pairs of answers as the model reads them.

use anyhow::{Result, bail};
use kiln_datasets::Tokenizer;
use kiln_inference::ModelFiles;

use crate::commands::finetune::dpo::Preferences;
use crate::settings::Settings;

pub fn read(_: &Settings, _: &ModelFiles, _: &Tokenizer) -> Result<Preferences> {
    bail!("not yet")
}
