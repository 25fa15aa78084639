//! Opening an adapter, and attaching it to its model.

use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};

use super::base::base_checksum;
use super::config_file::{self, AdapterConfig, Task};
use super::read::Matrices;
use super::{BASE, CONFIG, LABELS, WEIGHTS};
use crate::error::{Error, Result};
use crate::lora::Lora;
use crate::weights::family::Family;
use crate::weights::mapped::MappedFile;
use crate::weights::{metadata, weight_files};
use crate::{Backend, Classifier, Embedding, GptModel, LoraConfig};

/// An adapter in a directory of PEFT, whose configuration has been read.
#[derive(Clone, Debug)]
pub struct Adapter {
    directory: PathBuf,
    config: AdapterConfig,
    /// The [`base_checksum`] of the model that it was trained on, where that was written down.
    base_checksum: Option<String>,
    labels: Option<Vec<String>>,
}

impl Adapter {
    /// Whether an adapter lies in `directory`.
    pub fn is_in(directory: &Path) -> bool {
        directory.join(CONFIG).is_file()
    }

    /// Opens the adapter in `directory`.
    ///
    /// # Errors
    ///
    /// [`Error::NoModel`] if there is none, [`Error::UnsupportedAdapter`] with the name of what is not read, [`Error::Format`]
    /// for a file that is damaged.
    pub fn open(directory: &Path) -> Result<Self> {
        if !Self::is_in(directory) {
            return Err(Error::NoModel { path: directory.to_owned(), missing: CONFIG });
        }
        let config = config_file::read(&directory.join(CONFIG))?;
        let path = directory.join(WEIGHTS);
        if !path.is_file() {
            return Err(weight_files::missing_adapter(directory, WEIGHTS));
        }
        let mut metadata = metadata::read(&MappedFile::open(&path)?);
        let labels = metadata.remove(LABELS).map(|text| {
            serde_json::from_str(&text)
                .map_err(|error| Error::format(&path, format!("{LABELS} in its header: {error}")))
        });
        let base_checksum = metadata.remove(BASE);
        Ok(Self { directory: directory.to_owned(), config, base_checksum, labels: labels.transpose()? })
    }

    /// Where it lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The model that it was trained on, as it was named then: a directory, or a name on the Hugging Face hub.
    pub fn base_model(&self) -> Option<&str> {
        self.config.base.as_deref()
    }

    /// Its numbers.
    pub fn config(&self) -> &LoraConfig {
        &self.config.lora
    }

    /// Whether it makes a classifier of its model.
    pub fn is_classifier(&self) -> bool {
        self.config.task == Task::Classifier
    }

    /// Attaches the adapter to `model`, which is called `base` in messages, and is in f32. From then on only the adapter
    /// learns.
    ///
    /// # Errors
    ///
    /// [`Error::OtherBase`] if it was trained beside other weights, [`Error::Lora`] if the model has no such layers,
    /// [`Error::Format`] naming each matrix that is missing, left over, misshapen or not finite, or if it is one of a
    /// classifier; [`Error::Damaged`] if the matrices are not those that were written.
    ///
    /// # Panics
    ///
    /// If the model has an adapter already.
    pub fn attach<B: Backend>(&self, model: GptModel<B>, base: &str) -> Result<GptModel<B>> {
        if self.is_classifier() {
            let reason = "task_type = \"SEQ_CLS\": an adapter that classifies texts, and predicts no tokens";
            return Err(Error::format(self.directory.join(CONFIG), reason));
        }
        self.attached(model, base).map(|(model, _)| model)
    }

    /// Makes a classifier of `model`: attaches the adapter, and puts its head in place of the model's own. Gives the names of
    /// the classes, too.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), for an adapter that is none of a classifier.
    ///
    /// # Panics
    ///
    /// If the model has an adapter already.
    pub fn attach_classifier<B: Backend>(
        &self,
        model: GptModel<B>,
        base: &str,
    ) -> Result<(Classifier<B>, Vec<String>)> {
        let path = self.directory.join(CONFIG);
        if !self.is_classifier() {
            return Err(Error::format(
                path,
                "task_type: expected \"SEQ_CLS\", an adapter that classifies texts",
            ));
        }
        let (device, d_model) = (model.device(), model.config().d_model);
        let (gpt, score) = self.attached(model.without_own_head(), base)?;
        let score = score.expect("the matrices of a classifier were checked");
        let classes = score.len() / d_model;
        // As transformers calls them.
        let numbered = || (0..classes).map(|class| format!("LABEL_{class}")).collect();
        let labels = self.labels.clone().unwrap_or_else(numbered);
        if labels.len() != classes {
            let reason =
                format!("{LABELS} in its header names {} classes, and the head has {classes}", labels.len());
            return Err(Error::format(self.directory.join(WEIGHTS), reason));
        }
        let weight = Tensor::from_data(TensorData::new(score, [classes, d_model]), (&device, DType::F32));
        Ok((Classifier { gpt, score: Embedding { weight: Param::from_tensor(weight) } }, labels))
    }

    /// The model with the adapter, and the values of a classifier's head.
    fn attached<B: Backend>(
        &self,
        model: GptModel<B>,
        base: &str,
    ) -> Result<(GptModel<B>, Option<Vec<f32>>)> {
        self.check_base(&model, base)?;
        let (config, device) = (model.config().clone(), model.device());
        let adapted = self.config.lora.adapted(&config)?;
        let file = [MappedFile::open(&self.directory.join(WEIGHTS))?];
        let classes_of = self.is_classifier().then_some(config.d_model);
        let matrices = Matrices::of(Family::of(&config), &file, &adapted, classes_of)?;
        let (lora, dropout) = (self.config.lora.clone(), self.config.lora.dropout);
        let model = model.with_adapters(lora, |adapted| {
            let (a, b) = matrices.of_map(adapted)?;
            Ok(Lora::of(adapted, dropout, a, b, &device))
        })?;
        Ok((model, matrices.score()?))
    }

    fn check_base<B: Backend>(&self, model: &GptModel<B>, base: &str) -> Result<()> {
        let Some(expected) = &self.base_checksum else { return Ok(()) };
        let found = base_checksum(model);
        if *expected == found {
            return Ok(());
        }
        Err(Error::OtherBase {
            path: self.directory.clone(),
            trained_on: self.base_model().unwrap_or("a model without a name").to_owned(),
            expected: expected.clone(),
            base: base.to_owned(),
            found,
        })
    }
}
