//! `[finetune]`: what a model is tuned for, on which examples, and how much of it learns.

use std::fmt;
use std::path::PathBuf;

use kiln_training::PreferenceLoss;
use serde::{Deserialize, Serialize};

/// What a model learns from examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// The label of a text.
    Classify,
    /// The answer to a prompt.
    #[default]
    Instruct,
    /// Which of two answers is the better one.
    Dpo,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classify => "classify",
            Self::Instruct => "instruct",
            Self::Dpo => "dpo",
        })
    }
}

/// How much of a model learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trained {
    /// All of it.
    #[default]
    All,
    /// The last block, the last norm and the head.
    Last,
    /// The head of a classifier.
    Head,
}

/// Which examples are kept from training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// By a hash of each text, of which one copy stays: seven tenths to train, one to validate, two to test.
    #[default]
    Hash,
    /// By their place: 85 % to train, then 10 % to test, the rest to validate.
    Order,
}

/// `[finetune]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneSection {
    pub task: Task,
    /// The model to start from.
    pub model: PathBuf,
    /// The examples, or `tales`.
    pub data: PathBuf,
    /// Examples to evaluate on; without them, some of `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<PathBuf>,
    /// Examples that are measured once, at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    pub split: Split,
    /// Passes over the examples; 0: `training.steps` counts.
    pub epochs: f64,
    pub train: Trained,
    /// Keys or columns of labelled texts.
    pub text_column: String,
    pub label_column: String,
    /// Takes as many texts of each label as the rarest one has.
    pub balanced: bool,
    /// How conversations become text: `model`, `chatml`, `alpaca`, `plain` or a file; empty: what fits the model.
    pub template: String,
    /// The prompt counts too.
    pub train_on_prompt: bool,
    pub loss: PreferenceLoss,
    /// How much the reference weighs.
    pub beta: f64,
}

impl Default for FinetuneSection {
    fn default() -> Self {
        Self {
            task: Task::default(),
            model: PathBuf::new(),
            data: PathBuf::new(),
            valid: None,
            test: None,
            split: Split::default(),
            epochs: 0.0,
            train: Trained::default(),
            text_column: "text".to_owned(),
            label_column: "label".to_owned(),
            balanced: false,
            template: String::new(),
            train_on_prompt: false,
            loss: PreferenceLoss::default(),
            beta: 0.1,
        }
    }
}
