//! What is measured: one record per optimizer step and one per evaluation. `metrics.jsonl`, TensorBoard, the screen and
//! burn-train receive the same record.
//!
//! A new metric is a field here, a value where the record is made (`fit/update.rs` or `fit/evaluation.rs`), and a row on the
//! dashboard (`view/dashboard/numbers.rs`); a line in [`StepRecord::FIGURES`] adds it to TensorBoard and burn-train.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::task_figures::TaskFigures;

/// One line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "split")]
pub enum Record {
    /// One optimizer step.
    #[serde(rename = "train")]
    Step(StepRecord),
    /// One evaluation.
    #[serde(rename = "valid")]
    Evaluation(EvaluationRecord),
}

/// What is measured of an optimizer step. A number that is not finite is `null` in the file, and NaN once it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Updates done, this one included.
    #[serde(skip_serializing)]
    pub step: usize,
    /// Mean loss over the counted targets of the step, in nats.
    #[serde(deserialize_with = "number_or_nan")]
    pub loss: f64,
    /// Training tokens seen since the run started.
    pub tokens: u64,
    /// Training tokens per second of this step.
    pub tokens_per_second: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Global norm of the gradients before clipping.
    #[serde(default = "nan", deserialize_with = "number_or_nan")]
    pub grad_norm: f64,
    /// Standard deviations of the loss from the mean of the 128 before it; `None` while there are few.
    #[serde(default)]
    pub loss_z: Option<f64>,
    /// The same of the gradient norm.
    #[serde(default)]
    pub grad_norm_z: Option<f64>,
    /// Seconds of training since the run started, pauses between resumed parts left out.
    pub seconds: f64,
    /// What the task measures beside the loss.
    #[serde(flatten)]
    pub task: TaskFigures,
    /// Steps so far that were left out because something was not finite; on the screen only.
    #[serde(skip)]
    pub skipped: usize,
    /// Bytes of memory in use, where the system tells; on the screen only.
    #[serde(skip)]
    pub memory: Option<u64>,
}

/// What is measured of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    /// Updates done when the model was evaluated.
    #[serde(skip_serializing)]
    pub step: usize,
    /// Mean loss over the counted targets that were read, in nats.
    #[serde(deserialize_with = "number_or_nan")]
    pub loss: f64,
    /// Training tokens seen since the run started.
    pub tokens: u64,
    /// Tokens per second of the evaluation.
    pub tokens_per_second: f64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Seconds of training since the run started, pauses between resumed parts left out.
    pub seconds: f64,
    /// What the task measures beside the loss.
    #[serde(flatten)]
    pub task: TaskFigures,
}

/// A number of a record under the name that TensorBoard and burn-train know it by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure<R> {
    pub(crate) name: &'static str,
    pub(crate) value: fn(&R) -> f64,
}

impl StepRecord {
    pub(crate) const FIGURES: [Figure<Self>; 4] = [
        Figure { name: "loss/train", value: |record| record.loss },
        Figure { name: "learning_rate", value: |record| record.learning_rate },
        Figure { name: "gradient_norm", value: |record| record.grad_norm },
        Figure { name: "tokens_per_second", value: |record| record.tokens_per_second },
    ];
}

impl EvaluationRecord {
    pub(crate) const FIGURES: [Figure<Self>; 1] =
        [Figure { name: "loss/validation", value: |record| record.loss }];

    /// `e^loss`.
    pub fn perplexity(&self) -> f64 {
        self.loss.exp()
    }
}

impl Record {
    /// Updates done when it was measured.
    pub fn step(&self) -> usize {
        match self {
            Self::Step(record) => record.step,
            Self::Evaluation(record) => record.step,
        }
    }

    /// Its figures by name.
    pub(crate) fn figures(&self) -> Vec<(&'static str, f64)> {
        fn of<R>(figures: &[Figure<R>], record: &R) -> Vec<(&'static str, f64)> {
            figures.iter().map(|figure| (figure.name, (figure.value)(record))).collect()
        }
        let (mut figures, task) = match self {
            Self::Step(record) => (of(&StepRecord::FIGURES, record), record.task),
            Self::Evaluation(record) => (of(&EvaluationRecord::FIGURES, record), record.task),
        };
        figures.extend(task.named());
        figures
    }
}

impl Serialize for Record {
    /// `step` and `split` come first, for those who read the file by eye.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a, R> {
            step: usize,
            split: &'static str,
            #[serde(flatten)]
            record: &'a R,
        }
        let step = self.step();
        match self {
            Self::Step(record) => Line { step, split: "train", record }.serialize(serializer),
            Self::Evaluation(record) => Line { step, split: "valid", record }.serialize(serializer),
        }
    }
}

/// One line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Updates done when it was written.
    pub step: usize,
    /// What the model wrote.
    pub text: String,
}

fn nan() -> f64 {
    f64::NAN
}

fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_keys_and_their_order() {
        let record = StepRecord {
            step: 7,
            loss: f64::INFINITY,
            tokens: 224,
            tokens_per_second: 1.5,
            learning_rate: 1e-3,
            grad_norm: f64::NAN,
            loss_z: Some(0.5),
            seconds: 2.0,
            skipped: 1,
            ..StepRecord::default()
        };
        let line = serde_json::to_string(&Record::Step(record)).expect("numbers");
        let expected = r#"{"step":7,"split":"train","loss":null,"tokens":224,"tokens_per_second":1.5,"learning_rate":0.001,"grad_norm":null,"loss_z":0.5,"grad_norm_z":null,"seconds":2.0}"#;
        assert_eq!(line, expected);
        let Record::Step(back) = serde_json::from_str(&line).expect("a record") else { panic!("{line}") };
        assert!(back.loss.is_nan() && back.grad_norm.is_nan());
        assert_eq!((back.step, back.loss_z, back.skipped), (7, Some(0.5), 0));

        let record = EvaluationRecord { step: 8, loss: 2.5, seconds: 3.0, ..EvaluationRecord::default() };
        let line = serde_json::to_string(&Record::Evaluation(record)).expect("numbers");
        let expected = r#"{"step":8,"split":"valid","loss":2.5,"tokens":0,"tokens_per_second":0.0,"learning_rate":0.0,"seconds":3.0}"#;
        assert_eq!(line, expected);
        assert_eq!(serde_json::from_str::<Record>(&line).expect("a record"), Record::Evaluation(record));
    }
}
