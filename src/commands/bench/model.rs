//! The model to measure: one from a directory, or a shape with random weights.

use anyhow::{Result, bail};
use kiln_model::{Backend, GptConfig, GptModel, PRESETS};

use crate::cli::bench::{ModelShape, ModelSource};

/// The architecture that was asked for, for sequences of `context` tokens.
pub fn config(shape: &ModelShape, context: usize) -> Result<GptConfig> {
    let ModelShape { preset, layers, heads, width, vocab } = shape;
    let mut config = match preset {
        None => GptConfig { vocab_size: 65, ..GptConfig::new(*layers, *heads, *width) },
        Some(name) => match GptConfig::preset(name) {
            Some(config) => config,
            None => bail!("--preset {name}: no such architecture\nhint: use one of {}", PRESETS.join(", ")),
        },
    };
    config.vocab_size = vocab.unwrap_or(config.vocab_size);
    config.context_length = context;
    config.validate().map_err(in_options)?;
    Ok(config)
}

/// The error with the options in place of the model's own words.
fn in_options(error: kiln_model::Error) -> anyhow::Error {
    let options = [
        ("model.n_layers", "--layers"),
        ("model.n_heads", "--heads"),
        ("model.d_model", "--width"),
        ("model.context_length", "--context"),
        ("model.vocab_size", "--vocab"),
    ];
    let message =
        options.iter().fold(error.to_string(), |message, (key, option)| message.replace(key, option));
    anyhow::Error::msg(message)
}

/// The model, with room for `context` tokens.
pub fn open<B: Backend>(source: &ModelSource, context: usize, device: &B::Device) -> Result<GptModel<B>> {
    let precision = source.dtype;
    let Some(directory) = &source.model else {
        let config = config(&source.shape, context)?;
        return Ok(config.init::<B>(1337, device)?.with_precision(precision)?);
    };
    let files = crate::files::named_model(directory)?;
    let longest = files.config().context_length;
    if context > longest {
        bail!(
            "{}: its context is {longest} tokens, and {context} were asked for\nhint: use a smaller --context or --tokens",
            directory.display()
        );
    }
    Ok(files.load_with_precision(device, precision)?)
}

/// Most memory that this process has held, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// `1234 MB`, or `unknown`.
pub fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), |bytes| format!("{:.0} MB", bytes as f64 / 1e6))
}
