//! Files as users name them.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use kiln_datasets::{TOKENIZERS, Tokenizer, open_input};
use kiln_inference::{ModelFiles, gguf_tokenizer};
use kiln_model::is_gguf;

use crate::cli::common::AdapterArgs;
use crate::commands::newest;
use crate::contents;
use crate::output::print_message;

/// What standard input is called.
pub const STDIN: &str = "-";

/// The model in `directory`, as [`newest::model_directory`] finds it; of an adapter, with the model that it names. Says which
/// of its weights are not used.
pub fn open_model(directory: &Path) -> Result<ModelFiles> {
    let files = open_files(directory)?;
    tell_unused_heads(&files);
    Ok(files)
}

/// Says which weights a language model leaves out.
pub fn tell_unused_heads(files: &ModelFiles) {
    let unused = files.unused_heads();
    if !unused.is_empty() {
        print_message(format_args!(
            "{}: only the head that predicts tokens is used, not {}",
            files.path().display(),
            unused.join(", ")
        ));
    }
}

/// The same for those who use another head.
pub fn open_files(directory: &Path) -> Result<ModelFiles> {
    Ok(match ModelFiles::open(directory) {
        Err(error @ kiln_inference::Error::NoBase { .. }) => {
            named_base(directory, error)?.with_adapter(directory)?
        }
        opened => opened?,
    })
}

/// The model of the adapter in `directory`, which has the name of a run or of a fetched model; else `error`.
fn named_base(directory: &Path, error: kiln_inference::Error) -> Result<ModelFiles> {
    let kiln_inference::Error::NoBase { base, .. } = &error else { return Err(error.into()) };
    match newest::model_directory(Some(Path::new(base))) {
        Ok(base) if !base.as_os_str().is_empty() && base != directory => Ok(ModelFiles::open(base)?),
        _ => Err(error.into()),
    }
}

/// The same model with the adapter that was named, if any was: a directory, or a run by its name.
pub fn with_adapter(files: ModelFiles, AdapterArgs { adapter }: &AdapterArgs) -> Result<ModelFiles> {
    let Some(named) = adapter else { return Ok(files) };
    let run = Path::new(newest::RUNS).join(named);
    let directory = if !named.exists() && run.is_dir() { &run } else { named };
    Ok(files.with_adapter(directory)?)
}

/// The model that was named, in any of the ways that [`newest::model_directory`] knows.
pub fn named_model(named: &Path) -> Result<ModelFiles> {
    open_model(&newest::model_directory(Some(named))?)
}

/// A tokenizer by name, or from a tokenizer, model or run directory, or a GGUF file, or from a run or a fetched model by its
/// name.
pub fn tokenizer(name: &str) -> Result<Tokenizer> {
    if is_gguf(Path::new(name)) {
        return Ok(gguf_tokenizer(Path::new(name))?);
    }
    if !TOKENIZERS.contains(&name) {
        contents::check_tokenizer(Path::new(name))?;
    }
    let inside = Path::new(name).join("model");
    if !Path::new(name).join("tokenizer.json").exists() && inside.join("tokenizer.json").exists() {
        return Ok(Tokenizer::from_directory(&inside)?);
    }
    match Tokenizer::open(name) {
        Err(error @ kiln_datasets::Error::UnknownTokenizer { .. }) => {
            let directory = newest::model_directory(Some(Path::new(name)));
            match directory.ok().and_then(|directory| ModelFiles::open(directory).ok()) {
                Some(files) => Ok(files.tokenizer()?),
                None => Err(error.into()),
            }
        }
        opened => Ok(opened?),
    }
}

/// The tokenizer of a model: the named one, else the one in its directory.
pub fn tokenizer_of(files: &ModelFiles, name: Option<&str>) -> Result<Tokenizer> {
    match name {
        Some(name) => tokenizer(name),
        None if files.has_tokenizer() => Ok(files.tokenizer()?),
        None => bail!(
            "{}: no tokenizer here (neither `tokenizer.json` nor `vocab.json` with `merges.txt`)\nhint: name the one that \
             the model was trained with, for instance `--tokenizer gpt2`",
            files.path().display()
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

/// A file or, as [`STDIN`], standard input as UTF-8, without the mark that some editors put first.
pub fn read_utf8(path: &Path) -> Result<String> {
    let name = if path == Path::new(STDIN) { "standard input".into() } else { path.display().to_string() };
    let text = String::from_utf8(read_bytes(path)?)
        .map_err(|error| anyhow!("byte {} is not UTF-8", error.utf8_error().valid_up_to() + 1));
    let text = text.context(name)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The same without the line break at its end, which the shell and editors put there and nobody means.
pub fn read_prompt(path: &Path) -> Result<String> {
    Ok(without_last_line_break(read_utf8(path)?))
}

fn without_last_line_break(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_the_shells() {
        for (typed, meant) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("\n", ""), ("a", "a")] {
            assert_eq!(without_last_line_break(typed.to_owned()), meant);
        }
    }
}
