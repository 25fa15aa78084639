//! Classifiers on disk, as `transformers` has them: the model's directory with `score.weight` in place of the head, and the
//! names of the classes in `config.json`.

use std::path::Path;

use burn::module::Param;
use burn::tensor::{DType, Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::family::Family;
use super::load::load_weights;
use super::save::save_weights;
use super::source::Tensors;
use super::{CONFIG, Dtype, SpecialTokens, WEIGHTS, config_file, json_file, load_config, weight_files};
use crate::error::{Error, Result};
use crate::file::write_file;
use crate::{Backend, Classifier, Embedding};

/// Name of the head's matrix, in every family.
const SCORE: &str = "score.weight";

/// How the names of such classes end.
const CLASS: &str = "ForSequenceClassification";

/// Writes a classifier into `directory`, which is created if need be; `labels` are the names of its classes, in their order.
///
/// # Errors
///
/// [`Error::Io`] with the path.
///
/// # Panics
///
/// If there are not as many labels as classes.
pub fn save_classifier<B: Backend>(
    model: &Classifier<B>,
    labels: &[String],
    directory: &Path,
    dtype: Dtype,
    special_tokens: &SpecialTokens,
) -> Result<()> {
    assert_eq!(labels.len(), model.num_classes(), "a name for each class");
    std::fs::create_dir_all(directory).map_err(Error::io(directory))?;
    let family = Family::of(model.gpt.config());
    let score = (SCORE.to_owned(), model.score.weight.val());
    save_weights(&model.gpt, family, &directory.join(WEIGHTS), dtype, Some(score))?;
    let mut config = config_file::contents(family, model.gpt.config(), special_tokens, dtype);
    let class = family.architecture.replace("LMHeadModel", CLASS).replace("ForCausalLM", CLASS);
    config.insert("architectures".to_owned(), json!([class]));
    let names = labels.iter().enumerate();
    let by_id: Map<String, Value> = names.clone().map(|(id, label)| (id.to_string(), json!(label))).collect();
    let by_label: Map<String, Value> = names.map(|(id, label)| (label.clone(), json!(id))).collect();
    config.insert("id2label".to_owned(), Value::Object(by_id));
    config.insert("label2id".to_owned(), Value::Object(by_label));
    config.insert("problem_type".to_owned(), json!("single_label_classification"));
    write_file(&directory.join(CONFIG), format!("{:#}\n", Value::Object(config)))?;
    Ok(())
}

/// The names of the classes of the classifier in `directory`, in their order; `None` if there is another model.
///
/// # Errors
///
/// [`Error::Io`] or [`Error::Format`] if its `config.json` cannot be read, or its classes are not numbered from 0 on.
pub fn load_labels(directory: &Path) -> Result<Option<Vec<String>>> {
    let path = directory.join(CONFIG);
    if !path.is_file() {
        return Ok(None);
    }
    let file = json_file::read(&path)?;
    let class = file["architectures"][0].as_str().unwrap_or_default();
    let Some(names) = file["id2label"].as_object().filter(|_| class.ends_with(CLASS)) else {
        return Ok(None);
    };
    let label = |id: usize| names.get(&id.to_string())?.as_str().map(str::to_owned);
    let labels: Option<Vec<String>> = (0..names.len()).map(label).collect();
    labels.filter(|labels| !labels.is_empty()).map(Some).ok_or_else(|| {
        Error::format(&path, format!("id2label = {}: expected names for 0, 1, …", file["id2label"]))
    })
}

/// Opens the classifier in `directory`, and the names of its classes.
///
/// # Errors
///
/// As [`load`](super::load()), and [`Error::Format`] if there is a model of another kind.
pub fn load_classifier<B: Backend>(
    directory: &Path,
    device: &B::Device,
) -> Result<(Classifier<B>, Vec<String>)> {
    let config = load_config(directory)?;
    let other = || Error::format(directory.join(CONFIG), format!("architectures: not a {CLASS} model"));
    let labels = load_labels(directory)?.ok_or_else(other)?;
    let gpt = load_weights::<B>(directory, &config, device, None)?;
    let files = weight_files::open(directory)?;
    let tensors = Tensors::of(Family::of(&config), &files, false)?;
    let wrong = |reason: String| Error::format(directory.join(WEIGHTS), reason);
    let Some(score) = tensors.named(SCORE) else { return Err(wrong(format!("`{SCORE}` is missing"))) };
    let shape = [labels.len(), config.d_model];
    if score.shape() != shape {
        return Err(wrong(format!("`{SCORE}` has shape {:?}, expected {shape:?}", score.shape())));
    }
    if let Some(found) = score.unreadable() {
        return Err(wrong(format!("`{SCORE}` is {found}, expected F64, F32, F16 or BF16")));
    }
    let weight = Tensor::from_data(TensorData::new(score.values(), shape), (device, DType::F32));
    Ok((Classifier { gpt, score: Embedding { weight: Param::from_tensor(weight) } }, labels))
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use burn_ndarray::NdArray;

    use super::*;
    use crate::{GptConfig, GptModel, parameters, token_tensor};

    fn classifier(config: &GptConfig) -> Classifier<NdArray> {
        let gpt: GptModel<NdArray> = config.init(1, &Default::default()).expect("valid");
        Classifier::new(gpt, 3, 5)
    }

    fn logits(model: &Classifier<NdArray>) -> Vec<f32> {
        let tokens = token_tensor(vec![1, 2, 3, 4, 5], [1, 5], &Default::default());
        model.logits(model.last_hidden(tokens, &[2, 3])).into_data().to_vec().expect("f32")
    }

    #[test]
    fn what_is_saved_is_opened_again_and_scores_alike() {
        let labels = ["ham", "spam", "other"].map(str::to_owned);
        for tied_head in [true, false] {
            let config = GptConfig { vocab_size: 7, tied_head, ..GptConfig::new(1, 2, 8) };
            let model = classifier(&config);
            assert!(parameters(&model).iter().any(|parameter| parameter.name == "score.weight"));
            let folder = tempfile::tempdir().expect("a temporary directory");
            let folder = folder.path();
            save_classifier(&model, &labels, folder, Dtype::F32, &SpecialTokens::default())
                .expect("writable");
            let (opened, names) =
                load_classifier::<NdArray>(folder, &Default::default()).expect("a classifier");
            assert_eq!((names, logits(&opened)), (labels.to_vec(), logits(&model)));
            let file = json_file::read(&folder.join(CONFIG)).expect("JSON");
            assert_eq!(file["architectures"], json!(["GPT2ForSequenceClassification"]));
            assert_eq!((&file["label2id"]["spam"], &file["id2label"]["2"]), (&json!(1), &json!("other")));
        }
    }

    #[test]
    fn a_model_of_another_kind_and_a_head_of_another_shape_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let config = GptConfig { vocab_size: 7, ..GptConfig::new(1, 2, 8) };
        let (model, folder) = (classifier(&config), folder.path());
        let refused = || {
            let opened = load_classifier::<NdArray>(folder, &Default::default());
            opened.map(|_| ()).expect_err("it is wrong").to_string()
        };
        super::super::save(&model.gpt, folder, Dtype::F32, &SpecialTokens::default()).expect("writable");
        assert!(refused().ends_with("architectures: not a ForSequenceClassification model"), "{}", refused());
        assert_eq!(load_labels(folder).expect("readable"), None);

        let labels = ["a", "b", "c"].map(str::to_owned);
        save_classifier(&model, &labels, folder, Dtype::F32, &SpecialTokens::default()).expect("writable");
        let path = folder.join(CONFIG);
        let text = std::fs::read_to_string(&path).expect("readable");
        let damaged = text.replace("\"2\": \"c\"", "\"2\": \"c\",\n    \"3\": \"d\"");
        assert_ne!(damaged, text);
        std::fs::write(&path, damaged).expect("writable");
        assert!(refused().ends_with("`score.weight` has shape [3, 8], expected [4, 8]"), "{}", refused());
        std::fs::write(&path, text.replace("\"2\": \"c\"", "\"4\": \"c\"")).expect("writable");
        assert!(refused().contains("expected names for 0, 1, …"), "{}", refused());
    }
}
