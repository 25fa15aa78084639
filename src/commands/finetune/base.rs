//! The model that a run starts from, on its backend.

use std::path::PathBuf;

use kiln_datasets::Tokenizer;
use kiln_model::{AutodiffBackend, GptModel, SpecialTokens};
use kiln_training::{Saving, Writing};

use crate::settings::Settings;

/// What every task starts with.
pub struct Base<B: AutodiffBackend> {
    pub gpt: GptModel<B>,
    pub device: B::Device,
    pub tokenizer: Tokenizer,
    /// As the files of the base model number them.
    pub special_tokens: SpecialTokens,
    pub settings: Settings,
    /// Where the run keeps its best model.
    pub saved: PathBuf,
}

impl<B: AutodiffBackend> Base<B> {
    /// Writes the tokenizer beside the weights that `model` writes.
    pub fn saving<M>(&self, model: Writing<M>) -> Saving<M> {
        let tokenizer = self.tokenizer.clone();
        Saving { tokenizer: Box::new(move |(), directory| Ok(tokenizer.save(directory)?)), model }
    }
}
