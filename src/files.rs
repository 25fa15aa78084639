//! Files as users name them.

use std::path::Path;

use anyhow::{Context, Result};
use kiln_datasets::Tokenizer;

/// A tokenizer by name, or from a tokenizer, model or run directory.
pub fn tokenizer(name: &str) -> Result<Tokenizer> {
    let inside = Path::new(name).join("model");
    if !Path::new(name).join("tokenizer.json").exists() && inside.join("tokenizer.json").exists() {
        return Ok(Tokenizer::from_directory(&inside)?);
    }
    Ok(Tokenizer::open(name)?)
}

/// A text file as a string.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}
