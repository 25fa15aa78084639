//! A model on disk: where it lies, its architecture, its tokenizer.

use std::path::{Path, PathBuf};

use kiln_datasets::Tokenizer;
use kiln_model::{Backend, GptConfig, GptModel, Precision, SpecialTokens, is_gguf, load_gguf_vocabulary};

use crate::error::Result;
use crate::gguf::gguf_tokenizer;

/// A model whose architecture has been read: a directory with `config.json`, or a GGUF file.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    path: PathBuf,
    config: GptConfig,
    special_tokens: SpecialTokens,
}

impl ModelFiles {
    /// Opens a model directory, the `model/` of a run directory, the directory of a `model.safetensors`, or a `.gguf`
    /// file.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if there is no model or its architecture is not known.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = model_path(path.as_ref());
        let config = kiln_model::load_config(&path)?;
        let special_tokens = SpecialTokens::of_generation(&path)?;
        Ok(Self { path, config, special_tokens })
    }

    /// The directory with `config.json`, or the GGUF file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The architecture.
    pub fn config(&self) -> &GptConfig {
        &self.config
    }

    /// The tokens that begin and end a text, as the files of the model number them.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special_tokens
    }

    /// Tensors of the files that loading skips: those of [other heads](kiln_model::unused_heads).
    pub fn unused_heads(&self) -> Vec<String> {
        kiln_model::unused_heads(&self.path, &self.config)
    }

    /// Whether a tokenizer lies beside the weights, whole or not: a model may come without one.
    pub fn has_tokenizer(&self) -> bool {
        match is_gguf(&self.path) {
            true => !matches!(load_gguf_vocabulary(&self.path), Ok(None)),
            false => Tokenizer::is_in(&self.path),
        }
    }

    /// The tokenizer.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if there is none or it cannot be used.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        match is_gguf(&self.path) {
            true => gguf_tokenizer(&self.path),
            false => Ok(Tokenizer::from_directory(&self.path)?),
        }
    }

    /// The model in f32, to learn or to be saved; see [`kiln_model::load`].
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if the weights do not fit the architecture.
    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<GptModel<B>> {
        Ok(kiln_model::load_weights(&self.path, &self.config, device, None)?)
    }

    /// The model with its weights laid out for inference; see [`kiln_model::load_with_precision`].
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if the weights do not fit the architecture, or the backend
    /// cannot hold them in `precision`.
    pub fn load_with_precision<B: Backend>(
        &self,
        device: &B::Device,
        precision: Precision,
    ) -> Result<GptModel<B>> {
        Ok(kiln_model::load_weights(&self.path, &self.config, device, Some(precision))?)
    }
}

/// `path` itself, `model/` in it if that is where the model lies, or the directory of the weights.
fn model_path(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|ending| ending == "safetensors") && path.is_file() {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return parent.unwrap_or(Path::new(".")).to_owned();
    }
    let inside = path.join("model");
    if !path.join("config.json").exists() && inside.join("config.json").exists() {
        inside
    } else {
        path.to_owned()
    }
}
