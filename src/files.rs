//! Files as users name them.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use kiln_datasets::{Tokenizer, open_input};

/// A tokenizer by name, or from a tokenizer, model or run directory.
pub fn tokenizer(name: &str) -> Result<Tokenizer> {
    let inside = Path::new(name).join("model");
    if !Path::new(name).join("tokenizer.json").exists() && inside.join("tokenizer.json").exists() {
        return Ok(Tokenizer::from_directory(&inside)?);
    }
    Ok(Tokenizer::open(name)?)
}

/// The bytes of a file or of a pipe; `-` is standard input.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_input(path)?.read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
    Ok(bytes)
}

/// The same as a string.
pub fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    open_input(path)?.read_to_string(&mut text).with_context(|| path.display().to_string())?;
    Ok(text)
}
