//! The autoencoder while it learns.

use burn::module::{Module, Param, RunningState};
use burn::tensor::{DType, Int, Tensor, TensorData, TensorPrimitive};
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use kiln_datasets::mix;
use kiln_model::{AutodiffBackend, Backend};

use super::super::gradients::evaluated;
use super::super::{Learns, MicroBatches, Outcome, mean_gradients};
use super::select::exceeded_by;
use super::vectors::{Vectors, numbers};
use crate::run::{EvaluationRecord, StepRecord, TaskFigures};

/// Weight of what dead features make of the rest (<https://arxiv.org/abs/2406.04093>).
const AUXILIARY: f64 = 1.0 / 32.0;

/// What a dictionary is learned with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DictionaryConfig {
    /// Width of the vectors.
    pub d_in: usize,
    /// Number of features.
    pub d_sae: usize,
    /// Active features of a vector, on the average over a batch.
    pub k: usize,
    /// What vectors are multiplied with before anything else, so that their mean length is `√d_in`.
    pub scale: f64,
    /// Vectors in a row without a feature after which it counts as dead.
    pub dead_after: f64,
    /// Decides the first directions.
    pub seed: u64,
}

/// A sparse autoencoder that learns by BatchTopK (<https://arxiv.org/abs/2412.06410>): of all features of all vectors of a batch,
/// the `k · batch` largest are active. Directions have length 1 whatever `w_dec` is, so that no gradient lies along them.
#[derive(Module, Debug)]
pub struct DictionaryModel<B: Backend> {
    /// `[d_in, d_sae]`
    pub w_enc: Param<Tensor<B, 2>>,
    /// `[d_sae]`
    pub b_enc: Param<Tensor<B, 1>>,
    /// Directions of any length, `[d_sae, d_in]`.
    pub w_dec: Param<Tensor<B, 2>>,
    /// `[d_in]`
    pub b_dec: Param<Tensor<B, 1>>,
    /// Vectors since each feature was active last, `[d_sae]`.
    pub idle: RunningState<Tensor<B, 1>>,
    #[module(skip)]
    config: DictionaryConfig,
}

/// The numbers of a dictionary for vectors as the model has them, row by row: without [`scale`](DictionaryConfig::scale).
#[derive(Clone, Debug, PartialEq)]
pub struct Dictionary {
    /// `[d_in, d_sae]`
    pub w_enc: Vec<f32>,
    /// `[d_sae]`
    pub b_enc: Vec<f32>,
    /// Directions of length 1, `[d_sae, d_in]`.
    pub w_dec: Vec<f32>,
    /// `[d_in]`
    pub b_dec: Vec<f32>,
}

impl<B: Backend> DictionaryModel<B> {
    /// Random directions, which the encoder reads as the decoder writes them, around the mean of the vectors, `[d_in]`.
    ///
    /// # Panics
    ///
    /// If the mean has another width.
    pub fn new(config: DictionaryConfig, mean: &[f64], device: &B::Device) -> Self {
        let DictionaryConfig { d_in, d_sae, scale, seed, .. } = config;
        let mut directions = normal_numbers(seed, d_sae * d_in);
        for row in directions.chunks_exact_mut(d_in) {
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            row.iter_mut().for_each(|value| *value /= length);
        }
        let floats = |data: TensorData| Tensor::from_data(data, (device, DType::F32));
        // Column by column, so that both lie in memory as they are read.
        let columns = |row: usize| (0..d_sae).map(move |feature| feature * d_in + row);
        let encoder = (0..d_in).flat_map(columns).map(|place| directions[place]).collect();
        let w_enc: Tensor<B, 2> = floats(TensorData::new::<f32, _>(encoder, [d_in, d_sae]));
        let w_dec: Tensor<B, 2> = floats(TensorData::new(directions, [d_sae, d_in]));
        let mean: Vec<f32> = mean.iter().map(|value| (value * scale) as f32).collect();
        Self {
            w_enc: Param::from_tensor(w_enc),
            b_enc: Param::from_tensor(Tensor::zeros([d_sae], (device, DType::F32))),
            w_dec: Param::from_tensor(w_dec),
            b_dec: Param::from_tensor(Tensor::from_data(TensorData::new(mean, [d_in]), (device, DType::F32))),
            idle: RunningState::new(Tensor::zeros([d_sae], (device, DType::F32))),
            config,
        }
    }

    /// What it is learned with.
    pub fn config(&self) -> &DictionaryConfig {
        &self.config
    }

    /// The same for vectors as the model has them.
    pub fn unscaled(&self) -> Dictionary {
        let scale = self.config.scale;
        Dictionary {
            w_enc: numbers(self.w_enc.val()),
            b_enc: numbers(self.b_enc.val() / scale),
            w_dec: numbers(self.directions()),
            b_dec: numbers(self.b_dec.val() / scale),
        }
    }

    /// The decoder's rows with length 1, `[d_sae, d_in]`.
    fn directions(&self) -> Tensor<B, 2> {
        let rows = self.w_dec.val();
        let lengths = rows.clone().powi_scalar(2).sum_dim(1).sqrt(); // [d_sae, 1]
        rows / lengths
    }

    /// The error of what the dead features, numbered by `dead`, make of the part that the others leave: `input` less `output`.
    /// They read the vectors as ever; only the decoder's bias is not theirs.
    fn auxiliary_loss(
        &self,
        input: Tensor<B, 2>,
        rest: Tensor<B, 2>,
        bias: Tensor<B, 1>,
        directions: Tensor<B, 2>,
        dead: &[i32],
    ) -> Tensor<B, 1> {
        let [n, d_in] = input.dims();
        let numbers: Tensor<B, 1, Int> = Tensor::from_ints(dead, &input.device());
        let device = input.device();
        let columns = self.w_enc.val().select(1, numbers.clone()); // [d_in, dead]
        let pre = affine(input, columns, bias.select(0, numbers.clone())); // [n, dead]
        let active = largest(&pre, n * d_in / 2).mask;
        let zeros = Tensor::zeros([d_in], (&device, DType::F32));
        let rebuilt = affine(pre * active, directions.select(0, numbers), zeros); // [n, d_in]
        (rest - rebuilt).powi_scalar(2).mean()
    }

    /// Takes note of the features that were active in a batch of `n` vectors; gives those that are dead.
    fn take_note(&self, fired: &[bool], n: usize) -> Vec<i32> {
        let idle = self.idle.value_sync();
        let counted = numbers(idle.clone());
        let more = counted.iter().zip(fired).map(|(idle, fired)| if *fired { 0.0 } else { idle + n as f32 });
        let counted: Vec<f32> = more.collect();
        let dead = (0..).zip(&counted).filter(|(_, idle)| f64::from(**idle) >= self.config.dead_after);
        let dead = dead.map(|(feature, _)| feature).collect();
        let shape = [counted.len()];
        self.idle.update(Tensor::from_data(TensorData::new(counted, shape), (&idle.device(), DType::F32)));
        dead
    }
}

impl<B: Backend> Learns<B> for DictionaryModel<B> {
    type Batch = Vectors;

    fn outcome(&self, batch: &Vectors) -> Outcome<B> {
        let DictionaryConfig { d_in, d_sae, k, scale, .. } = self.config;
        let (n, device) = (batch.len(), self.w_enc.device());
        let data = TensorData::new(batch.values.clone(), [n, d_in]);
        let input = Tensor::<B, 2>::from_data(data, (&device, DType::F32)) * scale; // [n, d_in]
        // `(x − b_dec) W_enc + b_enc`, without another gradient of the size of the input.
        let bias = affine(-self.b_dec.val().unsqueeze(), self.w_enc.val(), self.b_enc.val()).reshape([d_sae]);
        let pre = affine(input.clone(), self.w_enc.val(), bias.clone()); // [n, d_sae]
        let Active { mask, threshold, values } = largest(&pre, n * k);
        let directions = self.directions();
        let output = affine(pre * mask, directions.clone(), self.b_dec.val()); // [n, d_in]
        let rest = input.clone() - output; // [n, d_in]
        let squared = rest.clone().powi_scalar(2);
        let residual = squared.clone().detach().sum().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        let mut loss = squared.mean();

        let mut fired = vec![false; d_sae];
        let mut active = 0;
        for row in values.chunks_exact(d_sae) {
            for (fired, value) in fired.iter_mut().zip(row) {
                *fired |= *value > threshold;
                active += usize::from(*value > threshold);
            }
        }
        // Evaluation changes nothing.
        let learns = B::ad_enabled(&device);
        let dead = if learns { self.take_note(&fired, n) } else { self.dead() };
        if learns && !dead.is_empty() {
            let auxiliary = self.auxiliary_loss(input, rest.detach(), bias, directions, &dead);
            loss = loss + auxiliary * AUXILIARY;
        }
        let scatter = batch.scatter() * scale * scale;
        Outcome { loss, sums: vec![residual, scatter, active as f64, (dead.len() * n) as f64] }
    }

    fn figures(&self, sums: &[f64], vectors: usize) -> TaskFigures {
        let [residual, scatter, active, dead] = *sums else { return TaskFigures::default() };
        let vectors = vectors.max(1) as f64;
        TaskFigures {
            explained_variance: Some(1.0 - residual / scatter),
            l0: Some(active / vectors),
            dead_features: Some(dead / vectors / self.config.d_sae as f64),
            ..TaskFigures::default()
        }
    }
}

impl<B: Backend> DictionaryModel<B> {
    /// The features that are dead by now.
    fn dead(&self) -> Vec<i32> {
        let idle = self.idle.value_sync().into_data();
        let dead = (0..).zip(idle.iter::<f64>()).filter(|(_, idle)| *idle >= self.config.dead_after);
        dead.map(|(feature, _)| feature).collect()
    }
}

impl<B: AutodiffBackend> TrainStep for DictionaryModel<B> {
    type Input = MicroBatches<Vectors>;
    type Output = StepRecord;

    fn step(&self, batches: MicroBatches<Vectors>) -> TrainOutput<StepRecord> {
        mean_gradients(self, batches)
    }
}

impl<B: Backend> InferenceStep for DictionaryModel<B> {
    type Input = Vectors;
    type Output = EvaluationRecord;

    fn step(&self, batch: Vectors) -> EvaluationRecord {
        evaluated(self, &batch)
    }
}

/// Which of many numbers are among the largest.
struct Active<B: Backend> {
    /// 1 where one is, else 0.
    mask: Tensor<B, 2>,
    /// What they exceed.
    threshold: f32,
    /// All numbers, row by row.
    values: Vec<f32>,
}

/// The `count` largest positive numbers of `pre`: none that is not positive exceeds the threshold.
fn largest<B: Backend>(pre: &Tensor<B, 2>, count: usize) -> Active<B> {
    let pre = pre.clone().detach();
    // A copy in one piece: of a tensor that is shared, the host's backends hand over one number after the other.
    let values = numbers(pre.clone() * 1.0);
    let threshold = exceeded_by(&values, count);
    Active { mask: pre.greater_elem(threshold).float(), threshold, values }
}

/// `input · weight + bias`: `[n, d_in] → [n, d_out]`.
fn affine<B: Backend>(input: Tensor<B, 2>, weight: Tensor<B, 2>, bias: Tensor<B, 1>) -> Tensor<B, 2> {
    fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> burn::tensor::ops::FloatTensor<B> {
        tensor.into_primitive().tensor()
    }
    let output = <B as Backend>::linear(primitive(input), primitive(weight), Some(primitive(bias)), None);
    Tensor::from_primitive(TensorPrimitive::Float(output))
}

/// Numbers of the normal distribution by the method of Box and Muller.
fn normal_numbers(seed: u64, count: usize) -> Vec<f32> {
    let uniform = |index: usize| (mix(seed, index as u64) >> 11) as f64 / (1_u64 << 53) as f64;
    let number = |index: usize| {
        let (radius, angle) = (uniform(2 * index), uniform(2 * index + 1));
        (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    };
    (0..count).map(|index| number(index) as f32).collect()
}
