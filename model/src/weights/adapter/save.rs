//! Writing an adapter that PEFT opens.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use super::base::base_checksum;
use super::config_file::{self, AdapterConfig, Task};
use super::{BASE, CONFIG, LABELS, PREFIX, SCORE, WEIGHTS};
use crate::error::{Error, Result};
use crate::file::write_file;
use crate::weights::Dtype;
use crate::weights::tensor_file::{self, FileTensor};
use crate::{Backend, Classifier, GptModel};

/// Writes the adapter of `model` into `directory`, which is created if need be; `base` is the directory or the name of the
/// model that it was trained on. Tokenizers and the like are not written.
///
/// # Errors
///
/// [`Error::Io`] with the path.
///
/// # Panics
///
/// If the model has no adapter.
pub fn save_adapter<B: Backend>(model: &GptModel<B>, directory: &Path, base: &str) -> Result<()> {
    save(model, directory, base, None)
}

/// Writes the adapter of a classifier, with its head; `labels` are the names of its classes, in their order.
///
/// # Errors
///
/// [`Error::Io`] with the path.
///
/// # Panics
///
/// If the model has no adapter, or there are not as many labels as classes.
pub fn save_classifier_adapter<B: Backend>(
    model: &Classifier<B>,
    labels: &[String],
    directory: &Path,
    base: &str,
) -> Result<()> {
    assert_eq!(labels.len(), model.num_classes(), "a name for each class");
    save(&model.gpt, directory, base, Some((model.score.weight.val(), labels)))
}

fn save<B: Backend>(
    model: &GptModel<B>,
    directory: &Path,
    base: &str,
    head: Option<(Tensor<B, 2>, &[String])>,
) -> Result<()> {
    let lora = model.lora().expect("a model with an adapter");
    std::fs::create_dir_all(directory).map_err(Error::io(directory))?;
    let task = if head.is_some() { Task::Classifier } else { Task::LanguageModel };
    let config = AdapterConfig { lora: lora.clone(), task, base: Some(base.to_owned()) };
    let mut tensors = matrices(model);
    let mut metadata = BTreeMap::from([(BASE.to_owned(), base_checksum(model))]);
    if let Some((score, labels)) = head {
        tensors.push((format!("{PREFIX}{SCORE}"), FileTensor::of(score, Dtype::F32)));
        metadata.insert(LABELS.to_owned(), json!(labels).to_string());
    }
    tensor_file::write(&directory.join(WEIGHTS), tensors, metadata)?;
    let config = Value::Object(config_file::contents(&config, model.config()));
    write_file(&directory.join(CONFIG), format!("{config:#}\n"))
}

/// `A` as `[rank, d_in]` and `B` as `[d_out, rank]` of each map, under PEFT's names.
fn matrices<B: Backend>(model: &GptModel<B>) -> Vec<(String, FileTensor)> {
    let lora = model.lora().expect("a model with an adapter");
    let adapted = lora.adapted(model.config()).expect("it was checked when it was attached");
    let matrices = adapted.iter().zip(model.adapters()).flat_map(|(adapted, adapter)| {
        let name = |part| format!("{PREFIX}{}.lora_{part}.weight", adapted.map.name);
        [(name("A"), adapter.a.val()), (name("B"), adapter.b.val())]
    });
    matrices.map(|(name, matrix)| (name, FileTensor::of(matrix.transpose(), Dtype::F32))).collect()
}
