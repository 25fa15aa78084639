//! Classes: a new head on a language model learns the label of a text from its last token, the only one that has read all of it.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use kiln_model::{AutodiffBackend, Backend, Classifier, GptModel, token_tensor};

use super::gradients::evaluated;
use super::segments::row;
use super::tuning::{Example, Examples, Tuned};
use super::{Learns, MicroBatches, Outcome, mean_gradients};
use crate::run::{EvaluationRecord, StepRecord, TaskFigures};

/// A text and the number of its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledText {
    /// Tokens, at least one.
    pub tokens: Vec<i32>,
    /// Number of its label.
    pub label: usize,
}

impl Example for LabelledText {
    fn num_tokens(&self) -> usize {
        self.tokens.len()
    }

    fn num_targets(&self) -> usize {
        1
    }
}

/// A [`Classifier`] that learns.
#[derive(Module, Debug)]
pub struct ClassifierModel<B: Backend> {
    /// The model and its head.
    pub classifier: Classifier<B>,
    /// The class that F1 is of where there are two: [`rarer_label`].
    #[module(skip)]
    pub positive: usize,
}

/// The rarer of two labels in all texts of a run; the second where both are as frequent. Parts and batches may have another one.
pub fn rarer_label<'a>(texts: impl Iterator<Item = &'a LabelledText>) -> usize {
    let (mut first, mut second) = (0, 0);
    for text in texts {
        *(if text.label == 0 { &mut first } else { &mut second }) += 1_usize;
    }
    usize::from(second <= first)
}

impl<B: Backend> Tuned<B> for ClassifierModel<B> {
    fn gpt(&self) -> &GptModel<B> {
        &self.classifier.gpt
    }

    /// Classes are scored once a text, and tokens not at all.
    fn flops_per_token(&self) -> f64 {
        let config = self.classifier.gpt.config();
        config.flops_per_token() - 6.0 * (config.vocab_size * config.d_model) as f64
    }
}

impl<B: Backend> Learns<B> for ClassifierModel<B> {
    type Batch = Examples<LabelledText>;

    fn outcome(&self, batch: &Examples<LabelledText>) -> Outcome<B> {
        let device = self.classifier.gpt.device();
        let (tokens, lengths) = row(batch.0.iter().map(|text| text.tokens.as_slice()), &device);
        let labels: Vec<i32> = batch.0.iter().map(|text| text.label as i32).collect();
        let targets = token_tensor(labels, [1, batch.0.len()], &device); // [1, texts]
        let hidden = self.classifier.last_hidden(tokens, &lengths); // [1, texts, d_model]
        let logits = self.classifier.logits(hidden.clone().detach()); // [texts, classes]
        let confusion = Confusion::of(&batch.0, predictions(logits), self.classifier.num_classes());
        Outcome { loss: self.classifier.loss(hidden, targets), sums: confusion.0 }
    }

    fn figures(&self, sums: &[f64], _texts: usize) -> TaskFigures {
        Confusion(sums.to_vec()).figures(self.positive)
    }
}

/// The likeliest class of each text.
fn predictions<B: Backend>(logits: Tensor<B, 2>) -> Vec<usize> {
    let likeliest: Tensor<B, 2, Int> = logits.argmax(1); // [texts, 1]
    likeliest.into_data().iter::<i64>().map(|class| class as usize).collect()
}

/// How often texts of each label got each label: `[label, prediction]`, row by row.
struct Confusion(Vec<f64>);

impl Confusion {
    fn of(texts: &[LabelledText], predictions: Vec<usize>, classes: usize) -> Self {
        let mut counts = vec![0.0; classes * classes];
        for (text, prediction) in texts.iter().zip(predictions) {
            counts[text.label * classes + prediction] += 1.0;
        }
        Self(counts)
    }

    /// Accuracy, F1 as scikit-learn's `f1_score` (of the class `positive` of two, or `average="macro"`, which leaves out classes
    /// that no text has and none is told to have), and `matthews_corrcoef`.
    fn figures(&self, positive: usize) -> TaskFigures {
        let classes = self.0.len().isqrt();
        let sum = |cells: &mut dyn Iterator<Item = usize>| cells.map(|cell| self.0[cell]).sum::<f64>();
        let labelled: Vec<f64> =
            (0..classes).map(|class| sum(&mut (class * classes..(class + 1) * classes))).collect();
        let predicted: Vec<f64> =
            (0..classes).map(|class| sum(&mut (class..classes * classes).step_by(classes))).collect();
        let hits: Vec<f64> = (0..classes).map(|class| self.0[class * (classes + 1)]).collect();
        let total: f64 = labelled.iter().sum();
        let correct: f64 = hits.iter().sum();
        let occurs = |class: &usize| labelled[*class] + predicted[*class] > 0.0;
        // Precision and recall are 0 where nothing has the label.
        let f1 = |class: usize| 2.0 * hits[class] / (labelled[class] + predicted[class]).max(1.0);
        let f1 = match classes {
            2 => f1(positive),
            _ => {
                let there: Vec<f64> = (0..classes).filter(occurs).map(f1).collect();
                there.iter().sum::<f64>() / there.len().max(1) as f64
            }
        };
        let product = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(l, r)| l * r).sum::<f64>();
        let spread = |counts: &[f64]| total * total - product(counts, counts);
        let scale = (spread(&labelled) * spread(&predicted)).sqrt();
        let mcc = if scale > 0.0 { (correct * total - product(&labelled, &predicted)) / scale } else { 0.0 };
        TaskFigures {
            accuracy: Some(correct / total),
            f1: Some(f1),
            mcc: Some(mcc),
            ..TaskFigures::default()
        }
    }
}

impl<B: AutodiffBackend> TrainStep for ClassifierModel<B> {
    type Input = MicroBatches<Examples<LabelledText>>;
    type Output = StepRecord;

    fn step(&self, batches: MicroBatches<Examples<LabelledText>>) -> TrainOutput<StepRecord> {
        mean_gradients(self, batches)
    }
}

impl<B: Backend> InferenceStep for ClassifierModel<B> {
    type Input = Examples<LabelledText>;
    type Output = EvaluationRecord;

    fn step(&self, batch: Examples<LabelledText>) -> EvaluationRecord {
        evaluated(self, &batch)
    }
}

#[cfg(test)]
mod tests {
    use burn_ndarray::NdArray;
    use kiln_model::GptConfig;

    use super::*;

    /// Two blocks of `16 + 216 + 72 + 16 + 288 + 264` weights and a norm of 16 multiply; two heads of width 4 look at 24
    /// positions in each.
    #[test]
    fn no_vocabulary_is_scored() {
        let config = GptConfig { vocab_size: 13, context_length: 24, ..GptConfig::new(2, 2, 8) };
        let gpt = config.init::<NdArray>(3, &Default::default()).expect("valid");
        let model = ClassifierModel { classifier: Classifier::new(gpt, 3, 1), positive: 0 };
        assert_eq!(model.flops_per_token(), 6.0 * (2.0 * 872.0 + 16.0) + 12.0 * 2.0 * 2.0 * 4.0 * 24.0);
    }

    /// Of nine texts, by hand: with 5 and 2 hits and one miss on either side, F1 is `4 / 6` and Matthews' coefficient
    /// `(5 · 2 - 1 · 1) / √(6 · 3 · 6 · 3)`.
    #[test]
    fn figures_are_those_of_the_definitions() {
        let figures = Confusion(vec![5.0, 1.0, 1.0, 2.0]).figures(1);
        assert!(near(figures.accuracy, 7.0 / 9.0) && near(figures.f1, 2.0 / 3.0) && near(figures.mcc, 0.5));
        let nothing = Confusion(vec![3.0, 0.0, 0.0, 0.0]).figures(1);
        assert_eq!((nothing.f1, nothing.mcc), (Some(0.0), Some(0.0)));
    }

    fn near(value: Option<f64>, expected: f64) -> bool {
        (value.expect("a figure") - expected).abs() < 1e-9
    }

    /// Accuracy, macro-F1 and Matthews' coefficient by scikit-learn: of all three classes; without the third; and where the
    /// third is only ever told.
    #[test]
    fn figures_of_three_classes_are_those_of_scikit_learn() {
        for (counts, accuracy, f1, mcc) in [
            ([2, 1, 0, 0, 3, 0, 1, 0, 2], 0.7777777777777778, 0.7746031746031745, 0.6793662204867574),
            ([4, 1, 0, 2, 3, 0, 0, 0, 0], 0.7, 0.696969696969697, 0.408248290463863),
            ([4, 0, 1, 2, 0, 3, 0, 0, 0], 0.4, 0.24242424242424243, 0.2041241452319315),
        ] {
            let figures = Confusion(counts.map(f64::from).to_vec()).figures(0);
            assert!(near(figures.accuracy, accuracy), "{counts:?}: {figures:?}");
            assert!(near(figures.f1, f1) && near(figures.mcc, mcc), "{counts:?}: {figures:?}");
        }
    }

    /// In this batch the second label is the more frequent one.
    #[test]
    fn f1_is_of_the_label_that_is_rarer_in_the_whole_run() {
        let text = |label| LabelledText { tokens: vec![1], label };
        let texts = [0, 0, 0, 1, 1].map(text);
        assert_eq!((rarer_label(texts.iter()), rarer_label(texts[2..].iter())), (1, 0));
        assert_eq!(rarer_label(texts[..0].iter()), 1);
        let batch = Confusion(vec![1.0, 0.0, 1.0, 2.0]);
        assert!(near(batch.figures(1).f1, 0.8) && near(batch.figures(0).f1, 2.0 / 3.0));
    }
}
