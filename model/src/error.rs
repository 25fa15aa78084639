//! What can go wrong outside our control.

use std::io::ErrorKind;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the model crate: a configuration or a file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model dimension is out of range or contradicts another one.
    #[error("model.{key} = {value}: {reason}")]
    Config {
        /// The field of [`GptConfig`](crate::GptConfig).
        key: &'static str,
        /// The value found.
        value: String,
        /// What is wrong with it, naming the other value where two contradict each other.
        reason: String,
    },
    /// A file or directory could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory holds no model.
    #[error("{}: no model here (there is no `{missing}`)", path.display())]
    NoModel {
        /// The directory.
        path: PathBuf,
        /// The file that was looked for.
        missing: &'static str,
    },
    /// The directory holds weights in a format that is not read.
    #[error("{}: {what}; Kiln reads model.safetensors, which is not there", path.display())]
    OtherWeights {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The weights are not those that were written.
    #[error("{}: the checksum of the weights is {found}, and {written} was written: the file is damaged", path.display())]
    Damaged {
        /// The file of weights.
        path: PathBuf,
        /// The checksum in its header.
        written: String,
        /// The checksum of what it holds.
        found: String,
    },
    /// The backend has no such number format.
    #[error("the {backend} backend cannot hold weights in {precision}")]
    Precision {
        /// What was asked for.
        precision: &'static str,
        /// The backend.
        backend: String,
    },
    /// The backend cannot compute in such a number format.
    #[error("the {backend} backend cannot train in {precision} here")]
    ComputePrecision {
        /// What was asked for.
        precision: &'static str,
        /// The backend, and where it runs.
        backend: String,
    },
    /// A weight is packed in fewer bits than f32, and has lost digits that are needed now.
    #[error("`{parameter}` is held in fewer bits, for inference")]
    Packed {
        /// Its path in the model.
        parameter: String,
    },
    /// A control vector has no place for a direction of this block.
    #[error("block {layer}: a control vector of llama.cpp adds nothing behind the first block")]
    ControlVector {
        /// The block, counted from zero.
        layer: usize,
    },
    /// A model has no place of this name.
    #[error("`{name}`: the model has no such place")]
    UnknownSite {
        /// What was asked for.
        name: String,
        /// The places that it has.
        sites: Vec<String>,
    },
    /// A number of an adapter is out of range, or a layer that it names is not there.
    #[error("lora.{key} = {value}: {reason}")]
    Lora {
        /// The field of [`LoraConfig`](crate::LoraConfig).
        key: &'static str,
        /// The value found.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An adapter of a kind that is not read.
    #[error("{}: {key} = {value}: {feature} cannot be read", path.display())]
    UnsupportedAdapter {
        /// Its `adapter_config.json`.
        path: PathBuf,
        /// The key that asks for it.
        key: &'static str,
        /// The value of the key.
        value: String,
        /// What it is called.
        feature: &'static str,
    },
    /// An adapter learned beside other weights than these.
    #[error(
        "{}: an adapter for another model: it was trained on {trained_on}, with the weights {expected}; those of {base} are \
         {found}",
        path.display()
    )]
    OtherBase {
        /// The directory of the adapter.
        path: PathBuf,
        /// The model that it was trained on.
        trained_on: String,
        /// The checksum of that one's weights.
        expected: String,
        /// The model that it was to be attached to.
        base: String,
        /// The checksum of its weights.
        found: String,
    },
    /// A weight is no number once an adapter is merged into it.
    #[error("`{layer}`: with the adapter merged into it, a weight is {value}")]
    Merge {
        /// Path of the layer in the model.
        layer: String,
        /// The weight.
        value: f32,
    },
    /// The directory holds no sparse autoencoder.
    #[error("{}: no sparse autoencoder here (there is no `{missing}`)", path.display())]
    NoAutoencoder {
        /// The directory.
        path: PathBuf,
        /// The file that was looked for.
        missing: &'static str,
    },
    /// A sparse autoencoder of a kind that is not read.
    #[error("{}: {key} = {value}: {feature} cannot be read", path.display())]
    UnsupportedAutoencoder {
        /// Its `cfg.json`.
        path: PathBuf,
        /// The key that asks for it.
        key: &'static str,
        /// The value of the key.
        value: String,
        /// What it is called.
        feature: &'static str,
    },
    /// A sparse autoencoder has no feature of this number.
    #[error("there is no feature {feature}: the autoencoder has {features} of them, from 0 on")]
    NoFeature {
        /// What was asked for.
        feature: usize,
        /// How many there are.
        features: usize,
    },
    /// Whether one feature is active cannot be told without all others.
    #[error(
        "a feature of this autoencoder cannot be read alone: the {k} largest of all are active, whatever their values"
    )]
    NoThreshold {
        /// How many are active.
        k: usize,
    },
    /// GGUF readers could not compute what this model computes.
    #[error("this model cannot be written as GGUF for llama.cpp: {reason}")]
    Gguf {
        /// What stands in the way.
        reason: String,
    },
    /// A tensor of a GGUF file is quantised in a way that is not read.
    #[error(
        "{}: `{tensor}` is {found}; expected F64, F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K",
        path.display()
    )]
    Quantisation {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// How it is quantised, by llama.cpp's name.
        found: &'static str,
    },
    /// A file is there but is not what it should be.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found, and what was expected.
        reason: String,
    },
}

impl Error {
    /// The class of this error in the standard library's terms: `InvalidInput` for a request that cannot be
    /// met, `InvalidData` for a file's contents, the system's own for a file that cannot be read or written.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } => source.kind(),
            Self::NoModel { .. } | Self::NoAutoencoder { .. } | Self::OtherWeights { .. } => {
                ErrorKind::NotFound
            }
            Self::Format { .. } | Self::Damaged { .. } | Self::Quantisation { .. } => ErrorKind::InvalidData,
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Pairs an I/O error with the path it happened at.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// A file whose contents are wrong.
    pub(crate) fn format(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.into(), reason: reason.into() }
    }
}
