//! Files as users name them.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use kiln_datasets::{Tokenizer, open_input};
use kiln_inference::ModelFiles;

/// A tokenizer by name, or from a tokenizer, model or run directory.
pub fn tokenizer(name: &str) -> Result<Tokenizer> {
    let inside = Path::new(name).join("model");
    if !Path::new(name).join("tokenizer.json").exists() && inside.join("tokenizer.json").exists() {
        return Ok(Tokenizer::from_directory(&inside)?);
    }
    Ok(Tokenizer::open(name)?)
}

/// The tokenizer of a model: the named one, else the one in its directory.
pub fn tokenizer_of(files: &ModelFiles, name: Option<&str>) -> Result<Tokenizer> {
    match name {
        Some(name) => tokenizer(name),
        None if files.has_tokenizer() => Ok(files.tokenizer()?),
        None => bail!(
            "{}: no tokenizer here (neither `tokenizer.json` nor `vocab.json` with `merges.txt`)\nhint: name the one that \
             the model was trained with, for instance `--tokenizer gpt2`",
            files.directory().display()
        ),
    }
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
