//! Preferences: a language model learns to say the chosen one of two answers rather than the rejected one, without moving far
//! from the model that it starts from (direct preference optimisation, <https://arxiv.org/abs/2305.18290>).

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use kiln_model::{AutodiffBackend, Backend, GptModel};

use super::gradients::evaluated;
use super::segments::row;
use super::tuning::{Example, Examples, Tuned};
use super::{Learns, MicroBatches, Outcome, Segment, mean_gradients};
use crate::run::{EvaluationRecord, StepRecord, TaskFigures};

/// Two answers to one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The prompt with the better answer; the answer counts.
    pub chosen: Segment,
    /// The prompt with the other one.
    pub rejected: Segment,
    /// Log-probabilities of both answers, chosen first, in the model that the run starts from.
    pub reference: [f64; 2],
}

impl Example for Pair {
    fn num_tokens(&self) -> usize {
        self.chosen.num_tokens() + self.rejected.num_tokens()
    }

    fn num_targets(&self) -> usize {
        1
    }
}

/// What is minimised. `Δ` is how much more the log-probability of the chosen answer has grown than that of the rejected one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreferenceLoss {
    /// `-ln σ(β Δ)`, of sums over the tokens of an answer.
    #[default]
    Sigmoid,
    /// The same of means, so that long answers weigh no more than short ones.
    SigmoidNorm,
    /// `(Δ - 1 / 2β)²`, of means (<https://arxiv.org/abs/2310.12036>).
    Ipo,
}

/// A [`GptModel`] that learns what to prefer.
#[derive(Module, Debug)]
pub struct PreferenceModel<B: Backend> {
    /// The model.
    pub gpt: GptModel<B>,
    #[module(skip)]
    loss: PreferenceLoss,
    beta: f64,
}

impl<B: Backend> PreferenceModel<B> {
    /// With `beta`, the weight of what the reference says.
    pub fn new(gpt: GptModel<B>, loss: PreferenceLoss, beta: f64) -> Self {
        Self { gpt, loss, beta }
    }
}

/// Log-probabilities of the answers in `segments` by `gpt`, `[segments]`.
pub(crate) fn log_probabilities<'a, B: Backend>(
    gpt: &GptModel<B>,
    segments: impl Iterator<Item = &'a Segment> + Clone,
) -> Tensor<B, 1> {
    let (inputs, lengths) = row(segments.clone().map(|segment| segment.inputs.as_slice()), &gpt.device());
    let targets: Vec<i32> = segments.flat_map(|segment| &segment.targets).copied().collect();
    gpt.log_probabilities_of_segments(inputs, &targets, &lengths)
}

/// Both log-probabilities of each pair by `gpt`, as [`Pair::reference`] wants them; `batch_size` pairs are computed at a time.
/// Gives up, with `None`, as soon as `stop` says so.
pub fn reference<B: Backend>(
    gpt: &GptModel<B>,
    pairs: &[Pair],
    batch_size: usize,
    stop: &mut dyn FnMut() -> bool,
) -> Option<Vec<[f64; 2]>> {
    let mut references = Vec::with_capacity(pairs.len());
    for part in pairs.chunks(batch_size.max(1)) {
        if stop() {
            return None;
        }
        let segments = part.iter().flat_map(|pair| [&pair.chosen, &pair.rejected]);
        let values: Vec<f64> = log_probabilities(gpt, segments).into_data().iter::<f64>().collect();
        references.extend_from_slice(values.as_chunks::<2>().0);
    }
    Some(references)
}

impl<B: Backend> Tuned<B> for PreferenceModel<B> {
    fn gpt(&self) -> &GptModel<B> {
        &self.gpt
    }
}

impl<B: Backend> Learns<B> for PreferenceModel<B> {
    type Batch = Examples<Pair>;

    fn outcome(&self, batch: &Examples<Pair>) -> Outcome<B> {
        let pairs = &batch.0;
        let segments = pairs.iter().flat_map(|pair| [&pair.chosen, &pair.rejected]);
        let log_probabilities = log_probabilities(&self.gpt, segments); // [2 · pairs]
        let values: Vec<f64> = log_probabilities.clone().detach().into_data().iter::<f64>().collect();
        let measured: Vec<Measured> = pairs
            .iter()
            .zip(values.as_chunks::<2>().0)
            .map(|(pair, values)| Measured::of(pair, *values, self.loss, self.beta))
            .collect();
        let count = pairs.len() as f64;
        let mean = measured.iter().map(|pair| pair.loss).sum::<f64>() / count;
        // The slopes are exact numbers of the host, and the rest of the way back is linear: the loss of the batch is the sum of
        // `slope · log-probability`, up to what does not move.
        let slopes: Vec<f32> =
            measured.iter().flat_map(|pair| pair.slopes).map(|slope| (slope / count) as f32).collect();
        let device = self.gpt.device();
        let length = slopes.len();
        let slopes = Tensor::<B, 1>::from_data(TensorData::new(slopes, [length]), &device);
        let moving = (log_probabilities * slopes).sum(); // [1]
        let loss = moving.clone() - moving.detach() + mean;
        let mut sums = vec![0.0; 5];
        for pair in &measured {
            super::add_sums(&mut sums, &pair.sums());
        }
        Outcome { loss, sums }
    }

    fn figures(&self, sums: &[f64], pairs: usize) -> TaskFigures {
        let mean = |index: usize| sums.get(index).map(|sum| sum / pairs as f64);
        let (chosen_reward, rejected_reward) = (mean(0), mean(1));
        TaskFigures {
            chosen_reward,
            rejected_reward,
            reward_margin: chosen_reward.zip(rejected_reward).map(|(chosen, rejected)| chosen - rejected),
            reward_accuracy: mean(2),
            chosen_log_probability: mean(3),
            rejected_log_probability: mean(4),
            ..TaskFigures::default()
        }
    }
}

/// What is known of a pair.
struct Measured {
    loss: f64,
    /// Of the loss by the log-probabilities of both answers.
    slopes: [f64; 2],
    /// `β` times what the log-probabilities have grown: of whole answers, as TRL has them, also where the loss is of means.
    rewards: [f64; 2],
    log_probabilities: [f64; 2],
}

impl Measured {
    fn of(pair: &Pair, values: [f64; 2], loss: PreferenceLoss, beta: f64) -> Self {
        let by_token = loss != PreferenceLoss::Sigmoid;
        let lengths = [&pair.chosen, &pair.rejected]
            .map(|segment| if by_token { segment.num_targets().max(1) as f64 } else { 1.0 });
        let gains = [0, 1].map(|side| values[side] - pair.reference[side]);
        let delta = gains[0] / lengths[0] - gains[1] / lengths[1];
        let (value, slope) = match loss {
            PreferenceLoss::Sigmoid | PreferenceLoss::SigmoidNorm => {
                let x = beta * delta;
                // -ln σ(x), without an overflow at either end.
                ((-x).max(0.0) + (-x.abs()).exp().ln_1p(), -beta / (1.0 + x.exp()))
            }
            PreferenceLoss::Ipo => {
                let miss = delta - 1.0 / (2.0 * beta);
                (miss * miss, 2.0 * miss)
            }
        };
        Self {
            loss: value,
            slopes: [slope / lengths[0], -slope / lengths[1]],
            rewards: gains.map(|gain| beta * gain),
            log_probabilities: values,
        }
    }

    /// Rewards, whether they are in order, log-probabilities.
    fn sums(&self) -> [f64; 5] {
        let [chosen, rejected] = self.rewards;
        let in_order = f64::from(u8::from(chosen > rejected));
        [chosen, rejected, in_order, self.log_probabilities[0], self.log_probabilities[1]]
    }
}

impl<B: AutodiffBackend> TrainStep for PreferenceModel<B> {
    type Input = MicroBatches<Examples<Pair>>;
    type Output = StepRecord;

    fn step(&self, batches: MicroBatches<Examples<Pair>>) -> TrainOutput<StepRecord> {
        mean_gradients(self, batches)
    }
}

impl<B: Backend> InferenceStep for PreferenceModel<B> {
    type Input = Examples<Pair>;
    type Output = EvaluationRecord;

    fn step(&self, batch: Examples<Pair>) -> EvaluationRecord {
        evaluated(self, &batch)
    }
}

#[cfg(test)]
mod tests {
    use burn_ndarray::NdArray;
    use kiln_model::GptConfig;

    use super::*;

    #[test]
    fn a_reference_is_the_same_in_parts_and_can_be_given_up() {
        let config = GptConfig { vocab_size: 13, context_length: 8, ..GptConfig::new(1, 2, 8) };
        let gpt = config.init::<NdArray>(3, &Default::default()).expect("valid");
        let pairs: Vec<Pair> = (1..6).map(|length| pair(length, 6 - length)).collect();
        let whole = reference(&gpt, &pairs, 5, &mut || false).expect("nobody stops it");
        let parts = reference(&gpt, &pairs, 0, &mut || false).expect("nobody stops it");
        assert_eq!((whole.len(), parts.len()), (5, 5));
        for (whole, part) in whole.iter().flatten().zip(parts.iter().flatten()) {
            assert!((whole - part).abs() < 1e-5, "{whole} and {part}");
        }
        let mut asked = 0;
        let given_up = reference(&gpt, &pairs, 2, &mut || {
            asked += 1;
            asked == 2
        });
        assert_eq!(given_up, None);
    }

    fn pair(chosen: usize, rejected: usize) -> Pair {
        let segment = |length| Segment { inputs: vec![1; length], targets: vec![1; length] };
        Pair { chosen: segment(chosen), rejected: segment(rejected), reference: [-10.0, -12.0] }
    }

    /// What TRL's formulas come to in PyTorch, in f64: loss, and its derivatives by both log-probabilities.
    #[test]
    fn losses_and_slopes_are_those_of_trl() {
        use PreferenceLoss::{Ipo, Sigmoid, SigmoidNorm};
        let expected = [
            (Sigmoid, (3, 5), -12.0, [-8.0, -13.0], [0.341153874732, -0.086715149212, 0.086715149212]),
            (SigmoidNorm, (3, 5), -12.0, [-8.0, -13.0], [0.571573486442, -0.043536370820, 0.026121822492]),
            (Ipo, (3, 5), -12.0, [-8.0, -13.0], [0.64, -0.533333333333, 0.32]),
            (Sigmoid, (3, 15), -18.0, [-7.0, -11.0], [1.463282467338, -0.230557435050, 0.230557435050]),
            (SigmoidNorm, (3, 15), -18.0, [-7.0, -11.0], [0.616343773041, -0.046008511544, 0.009201702309]),
            (Ipo, (3, 15), -18.0, [-7.0, -11.0], [1.284444444444, -0.755555555556, 0.151111111111]),
        ];
        for (loss, (chosen, rejected), of_rejected, values, expected) in expected {
            let pair = Pair { reference: [-10.0, of_rejected], ..pair(chosen, rejected) };
            let measured = Measured::of(&pair, values, loss, 0.3);
            let found = [measured.loss, measured.slopes[0], measured.slopes[1]];
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-11, "{loss:?}: {found} and {expected}");
            }
        }
    }

    /// Both rewards are growths of sums: 0.3 · 3 and 0.3 · 7, though by the token the chosen answer has grown more.
    #[test]
    fn rewards_are_of_whole_answers_whatever_the_loss() {
        for loss in [PreferenceLoss::Sigmoid, PreferenceLoss::SigmoidNorm, PreferenceLoss::Ipo] {
            let pair = Pair { reference: [-10.0, -18.0], ..pair(3, 15) };
            let [chosen, rejected, in_order, ..] = Measured::of(&pair, [-7.0, -11.0], loss, 0.3).sums();
            assert!((chosen - 0.9).abs() < 1e-12 && (rejected - 2.1).abs() < 1e-12, "{loss:?}");
            assert_eq!(in_order, 0.0, "{loss:?}");
        }
    }

    #[test]
    fn the_first_loss_is_ln_2() {
        for loss in [PreferenceLoss::Sigmoid, PreferenceLoss::SigmoidNorm] {
            let measured = Measured::of(&pair(3, 5), [-10.0, -12.0], loss, 0.1);
            assert!((measured.loss - std::f64::consts::LN_2).abs() < 1e-12);
        }
        assert_eq!(Measured::of(&pair(3, 5), [-10.0, -12.0], PreferenceLoss::Ipo, 0.1).loss, 25.0);
    }

    #[test]
    fn slopes_are_those_of_the_loss() {
        for loss in [PreferenceLoss::Sigmoid, PreferenceLoss::SigmoidNorm, PreferenceLoss::Ipo] {
            let at = |chosen, rejected| Measured::of(&pair(3, 5), [chosen, rejected], loss, 0.3);
            let (here, step) = (at(-8.0, -13.0), 1e-5);
            let measured = [
                (at(-8.0 + step, -13.0).loss - at(-8.0 - step, -13.0).loss) / (2.0 * step),
                (at(-8.0, -13.0 + step).loss - at(-8.0, -13.0 - step).loss) / (2.0 * step),
            ];
            for (slope, expected) in here.slopes.iter().zip(measured) {
                assert!((slope - expected).abs() < 1e-6, "{loss:?}: {slope} and {expected}");
            }
        }
    }
}
