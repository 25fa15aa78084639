//! The model that a run starts from, on its backend, and how what it learned is saved and opened again.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_inference::ModelFiles;
use kiln_model::{Adapter, AutodiffBackend, Dtype, GptModel, SpecialTokens, save_adapter};
use kiln_training::{Saving, Writing};

use crate::settings::Settings;

/// What every task starts with.
pub struct Base<B: AutodiffBackend> {
    /// With an adapter, where one is to learn.
    pub gpt: GptModel<B>,
    pub device: B::Device,
    pub tokenizer: Tokenizer,
    pub files: ModelFiles,
    pub settings: Settings,
    /// Where the run keeps its best model.
    pub saved: PathBuf,
}

/// Writes the weights of a language model, or its adapter, into a directory.
pub type WritingGpt<B> = Box<dyn Fn(&GptModel<B>, &Path) -> kiln_model::Result<()> + Send + Sync>;

impl<B: AutodiffBackend> Base<B> {
    /// Whether an adapter learns.
    pub fn has_adapter(&self) -> bool {
        self.gpt.lora().is_some()
    }

    /// What an adapter calls the model that it belongs to.
    pub fn name(&self) -> String {
        self.files.path().display().to_string()
    }

    /// Writes the tokenizer beside the weights that `model` writes.
    pub fn saving<M>(&self, model: Writing<M>) -> Saving<M> {
        let tokenizer = self.tokenizer.clone();
        Saving { tokenizer: Box::new(move |(), directory| Ok(tokenizer.save(directory)?)), model }
    }

    /// Writes the model, or the adapter where there is one.
    pub fn writing(&self, special_tokens: SpecialTokens) -> WritingGpt<B::InnerBackend> {
        match self.has_adapter() {
            true => {
                let name = self.name();
                Box::new(move |gpt, directory| save_adapter(gpt, directory, &name))
            }
            false => {
                Box::new(move |gpt, directory| kiln_model::save(gpt, directory, Dtype::F32, &special_tokens))
            }
        }
    }

    /// Opens what was written.
    pub fn reopening(&self) -> impl Fn() -> Result<GptModel<B::InnerBackend>> + use<B> {
        let (saved, device, files) = (self.saved.clone(), self.device.clone(), self.files.clone());
        let (name, has_adapter) = (self.name(), self.has_adapter());
        move || match has_adapter {
            true => Ok(Adapter::open(&saved)?.attach(files.load(&device)?, &name)?),
            false => Ok(kiln_model::load(&saved, &device)?),
        }
    }
}
