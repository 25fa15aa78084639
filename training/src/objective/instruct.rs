//! Instructions: a language model learns what to answer. It reads the prompt too, but only the answer counts.

use burn::module::Module;
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use kiln_model::{AutodiffBackend, Backend, GptModel, token_tensor};

use super::gradients::evaluated;
use super::segments::row;
use super::tuning::{Examples, Tuned};
use super::{Learns, MicroBatches, Outcome, Segment, mean_gradients};
use crate::run::{EvaluationRecord, StepRecord};

/// A [`GptModel`] that learns to answer.
#[derive(Module, Debug)]
pub struct AnswerModel<B: Backend> {
    /// The model.
    pub gpt: GptModel<B>,
}

impl<B: Backend> Tuned<B> for AnswerModel<B> {
    fn gpt(&self) -> &GptModel<B> {
        &self.gpt
    }
}

impl<B: Backend> Learns<B> for AnswerModel<B> {
    type Batch = Examples<Segment>;

    fn outcome(&self, batch: &Examples<Segment>) -> Outcome<B> {
        let device = self.gpt.device();
        let (inputs, lengths) = row(batch.0.iter().map(|segment| segment.inputs.as_slice()), &device);
        let targets: Vec<i32> = batch.0.iter().flat_map(|segment| &segment.targets).copied().collect();
        let targets = token_tensor(targets, inputs.dims(), &device); // [1, Σ lengths]
        self.gpt.loss_of_segments(inputs, targets, &lengths).into()
    }
}

impl<B: AutodiffBackend> TrainStep for AnswerModel<B> {
    type Input = MicroBatches<Examples<Segment>>;
    type Output = StepRecord;

    fn step(&self, batches: MicroBatches<Examples<Segment>>) -> TrainOutput<StepRecord> {
        mean_gradients(self, batches)
    }
}

impl<B: Backend> InferenceStep for AnswerModel<B> {
    type Input = Examples<Segment>;
    type Output = EvaluationRecord;

    fn step(&self, batch: Examples<Segment>) -> EvaluationRecord {
        evaluated(self, &batch)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;
    use burn_autodiff::Autodiff;
    use burn_ndarray::NdArray;
    use kiln_model::GptConfig;

    use super::super::MicroBatch;
    use super::super::tuning::Example as _;
    use super::*;

    type B = Autodiff<NdArray>;

    fn model() -> AnswerModel<B> {
        let config =
            GptConfig { vocab_size: 13, context_length: 24, init_std: 0.2, ..GptConfig::new(2, 2, 8) };
        AnswerModel { gpt: config.init(3, &Default::default()).expect("valid") }
    }

    /// Eight examples of unequal length, of which unequal parts count.
    fn examples() -> Vec<Segment> {
        let tokens =
            |length: usize, first: usize| (0..length).map(|at| ((first + at * at) % 13) as u32).collect();
        let lengths = [4, 20, 9, 23, 5, 12, 3, 17];
        lengths
            .iter()
            .enumerate()
            .map(|(index, length)| {
                let tokens: Vec<u32> = tokens(*length, index);
                let trained: Vec<bool> = (0..*length).map(|at| at > index % 3 + 1).collect();
                Segment::new(&tokens, &trained)
            })
            .collect()
    }

    /// Loss of a step, and its gradient of the token embedding.
    fn step(batches: Vec<Examples<Segment>>) -> (f64, Vec<f32>) {
        let model = model();
        let output = TrainStep::step(&model, MicroBatches::from(batches));
        let weight: Tensor<NdArray, 2> =
            output.grads.get(model.gpt.wte.weight.id).expect("the embedding has a gradient");
        (output.item.loss, weight.into_data().to_vec().expect("f32"))
    }

    fn farthest(left: &[f32], right: &[f32]) -> f32 {
        let largest = left.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        left.iter().zip(right).fold(0.0f32, |most, (left, right)| most.max((left - right).abs())) / largest
    }

    #[test]
    fn a_step_in_parts_is_the_step_in_one_and_no_mean_of_means() {
        let whole = Examples(examples());
        let (loss, gradient) = step(vec![whole.clone()]);
        for most in [4, 2, 1] {
            let (of_parts, in_parts) = step(whole.clone().split(most));
            assert!((of_parts - loss).abs() <= 1e-6, "{of_parts} and {loss}");
            assert!(farthest(&gradient, &in_parts) <= 1e-5);
        }
        let means: Vec<f64> = whole.split(1).into_iter().map(|part| step(vec![part]).0).collect();
        let mean_of_means = means.iter().sum::<f64>() / means.len() as f64;
        assert!(
            (mean_of_means - loss).abs() > 1e-3,
            "the examples are too much alike to tell: {mean_of_means}"
        );
    }

    #[test]
    fn the_prompt_is_read_and_does_not_count() {
        let segment = Segment::new(&[5, 6, 7, 8, 9], &[false, false, false, true, true]);
        assert_eq!(segment.inputs, [5, 6, 7, 8]);
        assert_eq!(
            (segment.targets[..2].iter().all(|target| *target < 0), &segment.targets[2..]),
            (true, &[8, 9][..])
        );
        assert_eq!((segment.num_tokens(), segment.num_targets()), (4, 2));
    }
}
