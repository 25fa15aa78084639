//! Where an export goes, and in which layout.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Result, bail};

use crate::cli::models::ExportFormat;

/// Endings of files that an export is not: a directory of that name would be a surprise.
const OTHER_FILES: [&str; 9] = ["safetensors", "bin", "pt", "pth", "ckpt", "onnx", "ggml", "h5", "json"];

/// Files of a model directory that an export writes.
const WRITTEN: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// The layout that the ending of `to` and `--format` ask for together.
pub fn format(to: &Path, asked: Option<ExportFormat>) -> Result<ExportFormat> {
    let ending = to.extension().and_then(OsStr::to_str).unwrap_or_default().to_lowercase();
    let path = to.display();
    match (ending.as_str(), asked) {
        ("gguf", Some(ExportFormat::Hf)) => bail!(
            "--to {path} is the name of a GGUF file, and --format hf writes a directory\nhint: leave --format out, or name a \
             directory"
        ),
        (_, Some(format)) => Ok(format),
        ("gguf", None) => Ok(ExportFormat::Gguf),
        (other, None) if OTHER_FILES.contains(&other) => bail!(
            "--to {path}: Kiln writes no .{other} file by itself\nhint: name a directory, which gets config.json, \
             model.safetensors and tokenizer.json, or a .gguf file"
        ),
        (_, None) => Ok(ExportFormat::Hf),
    }
}

/// Checks that nothing is there that would be overwritten.
pub fn check_free(to: &Path, format: ExportFormat) -> Result<()> {
    let taken = match format {
        ExportFormat::Hf if to.is_file() => Some(to.to_owned()),
        ExportFormat::Hf => WRITTEN.iter().map(|name| to.join(name)).find(|path| path.exists()),
        ExportFormat::Gguf => Some(to.to_owned()).filter(|to| to.is_file() || to.is_dir()),
    };
    match taken {
        Some(taken) => bail!(
            "{}: already there, and not overwritten\nhint: choose another place with `--to`",
            taken.display()
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_and_contradictions_are_refused() {
        use ExportFormat::{Gguf, Hf};
        let of = |to: &str, asked| format(Path::new(to), asked).ok();
        assert_eq!(of("x.gguf", None), Some(Gguf));
        assert_eq!(of("x.GGUF", None), Some(Gguf));
        assert_eq!(of("out/gpt2-1.5", None), Some(Hf));
        assert_eq!(of("x", None), Some(Hf));
        assert_eq!(of("x", Some(Gguf)), Some(Gguf));
        assert_eq!(of("x.gguf", Some(Hf)), None);
        assert_eq!(of("model.safetensors", None), None);
        assert_eq!(of("x.bin", Some(Gguf)), Some(Gguf));
    }
}
