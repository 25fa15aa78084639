//! The model that a run starts from, on its backend, and how what it learned is saved and opened again.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_inference::ModelFiles;
use kiln_model::{Adapter, AutodiffBackend, Dtype, GptModel, SpecialTokens, save_adapter, save_generation};
use kiln_training::{Saving, Tuned, Writing};

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

/// Opens what a run has saved.
pub type Reopening<M> = Box<dyn Fn() -> Result<M>>;

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

    /// How a module around a language model is saved, or its adapter where one learns, and opened again; `wrap` makes the module
    /// of the model.
    pub fn language_model<M: Tuned<B::InnerBackend>>(
        &self,
        special_tokens: SpecialTokens,
        wrap: impl Fn(GptModel<B::InnerBackend>) -> M + 'static,
    ) -> (Saving<M>, Reopening<M>) {
        let (name, has_adapter) = (self.name(), self.has_adapter());
        let saving = self.saving(Box::new(move |model: &M, directory: &Path| {
            if !has_adapter {
                return Ok(kiln_model::save(model.gpt(), directory, Dtype::F32, &special_tokens)?);
            }
            save_adapter(model.gpt(), directory, &name)?;
            // What ends its answers need not be what ends the texts of its model.
            Ok(save_generation(directory, &special_tokens)?)
        }));
        let (saved, device, files) = (self.saved.clone(), self.device.clone(), self.files.clone());
        let (name, precision) = (self.name(), self.settings.training.precision);
        let reopen = Box::new(move || {
            let gpt = match has_adapter {
                true => Adapter::open(&saved)?.attach(files.load(&device)?, &name)?,
                false => kiln_model::load(&saved, &device)?,
            };
            // What the run has measured is in this precision, too.
            Ok(wrap(gpt.with_compute_precision(precision)?))
        });
        (saving, reopen)
    }
}
