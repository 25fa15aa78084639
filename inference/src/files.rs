//! A model on disk: where it lies, its architecture, its tokenizer, and adapters for it.

use std::path::{Path, PathBuf};

use kiln_datasets::Tokenizer;
use kiln_model::{
    Adapter, Backend, GptConfig, GptModel, Precision, SpecialTokens, is_gguf, load_gguf_vocabulary,
};

use crate::error::{Error, Result};
use crate::gguf::gguf_tokenizer;

/// The architecture of a model.
const CONFIG: &str = "config.json";

/// A model whose architecture has been read: a directory with `config.json`, or a GGUF file.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    path: PathBuf,
    config: GptConfig,
    special_tokens: SpecialTokens,
    /// In the order in which they are merged.
    adapters: Vec<Adapter>,
}

impl ModelFiles {
    /// Opens a model directory, the `model/` of a run directory, the directory of a `model.safetensors`, or a `.gguf`
    /// file. Where one of these directories has an adapter alone, the model that it names is opened too: a path, or a path
    /// from that directory on.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if there is no model or its architecture is not known,
    /// [`Error::NoBase`] for an adapter whose model is not there.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = model_path(path.as_ref());
        if Self::is_adapter(&path) {
            let base = base_of(&path)?;
            return Self::open(base)?.with_adapter(&path);
        }
        let config = kiln_model::load_config(&path)?;
        let special_tokens = SpecialTokens::of_generation(&path)?;
        Ok(Self { path, config, special_tokens, adapters: Vec::new() })
    }

    /// Whether a directory, or the `model/` in it, holds an adapter without its model.
    pub fn is_adapter(path: &Path) -> bool {
        let path = model_path(path);
        Adapter::is_in(&path) && !path.join(CONFIG).exists()
    }

    /// The same model with the adapter in `directory`, or in the `model/` of that run. It is merged when the weights are loaded;
    /// a tokenizer and special tokens that lie beside it replace the model's own.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if there is no adapter, or it is not one for such a model.
    pub fn with_adapter(mut self, directory: impl AsRef<Path>) -> Result<Self> {
        let adapter = Adapter::open(&model_path(directory.as_ref()))?;
        adapter.config().validate(&self.config)?;
        let special_tokens = SpecialTokens::of_generation(adapter.directory())?;
        if special_tokens != SpecialTokens::default() {
            self.special_tokens = special_tokens;
        }
        self.adapters.push(adapter);
        Ok(self)
    }

    /// The adapters, in the order in which they are merged.
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
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

    /// The directory of the newest adapter that has a tokenizer of its own.
    fn own_tokenizer(&self) -> Option<&Path> {
        self.adapters.iter().rev().map(Adapter::directory).find(|directory| Tokenizer::is_in(directory))
    }

    /// Whether a tokenizer lies beside the weights, whole or not: a model may come without one.
    pub fn has_tokenizer(&self) -> bool {
        if self.own_tokenizer().is_some() {
            return true;
        }
        match is_gguf(&self.path) {
            true => !matches!(load_gguf_vocabulary(&self.path), Ok(None)),
            false => Tokenizer::is_in(&self.path),
        }
    }

    /// The tokenizer.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there is none or it cannot be used.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        if let Some(directory) = self.own_tokenizer() {
            return Ok(Tokenizer::from_directory(directory)?);
        }
        match is_gguf(&self.path) {
            true => gguf_tokenizer(&self.path),
            false => Ok(Tokenizer::from_directory(&self.path)?),
        }
    }

    /// The model in f32 with its adapters merged, to learn or to be saved; see [`kiln_model::load`].
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the weights do not fit the architecture, or an adapter belongs to other ones.
    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<GptModel<B>> {
        let mut model = kiln_model::load_weights(&self.path, &self.config, device, None)?;
        let mut name = self.path.display().to_string();
        for adapter in &self.adapters {
            model = adapter.attach(model, &name)?.merged()?;
            name = adapter.directory().display().to_string();
        }
        Ok(model)
    }

    /// The model with its weights laid out for inference; see [`kiln_model::load_with_precision`].
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the weights do not fit the architecture, or the backend
    /// cannot hold them in `precision`.
    pub fn load_with_precision<B: Backend>(
        &self,
        device: &B::Device,
        precision: Precision,
    ) -> Result<GptModel<B>> {
        if !self.adapters.is_empty() {
            return Ok(self.load(device)?.with_precision(precision)?);
        }
        Ok(kiln_model::load_weights(&self.path, &self.config, device, Some(precision))?)
    }
}

/// `path` itself, `model/` in it if that is where the model lies, or the directory of the weights.
fn model_path(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|ending| ending == "safetensors") && path.is_file() {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return parent.unwrap_or(Path::new(".")).to_owned();
    }
    let holds = |directory: &Path| directory.join(CONFIG).exists() || Adapter::is_in(directory);
    let inside = path.join("model");
    if !holds(path) && holds(&inside) { inside } else { path.to_owned() }
}

/// The model that the adapter in `directory` was trained on.
fn base_of(directory: &Path) -> Result<PathBuf> {
    let adapter = Adapter::open(directory)?;
    let base = adapter.base_model().unwrap_or_default();
    let places = [PathBuf::from(base), directory.join(base)];
    places
        .into_iter()
        .find(|place| !base.is_empty() && place.exists())
        .ok_or_else(|| Error::NoBase { adapter: directory.to_owned(), base: base.to_owned() })
}
