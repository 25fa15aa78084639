//! How well an autoencoder stands for the vectors of its model. Names and meanings are those of SAELens.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, DType, Int, Tensor, TensorData};
use kiln_datasets::{Batch, IGNORED};
use kiln_model::{Backend, GptModel, NoTap, SparseAutoencoder, Tap, token_tensor};
use serde::Serialize;

use super::readings::counted;
use super::splice::Splice;
use crate::tokens::to_vec;

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SaeMetrics {
    /// Mean number of active features.
    pub l0: f64,
    /// `1 − E‖x − x̂‖² / E‖x − E x‖²`
    pub explained_variance: f64,
    /// Mean cosine of `x` and `x̂`.
    pub cossim: f64,
    /// Mean of `‖x̂‖ / ‖x‖`.
    pub l2_ratio: f64,
    /// `E‖x̂‖² / E[x · x̂]`: 1 where nothing is made too small or too large.
    pub relative_reconstruction_bias: f64,
    /// `E‖x − x̂‖²`
    pub mse: f64,
    /// Share of the features that were active at all.
    pub frac_alive: f64,
    /// Share of those that were not.
    pub dead_features: f64,
    /// Share of the features that were active on more than one in ten vectors.
    pub freq_over_10_percent: f64,
    /// How much of the loss that zeros in place of `x` cost is saved by `x̂`: `(CE(0) − CE(x̂)) / (CE(0) − CE(x))`.
    pub ce_loss_score: f64,
    /// The same of the divergence from the model's own predictions, `(KL(0) − KL(x̂)) / KL(0)`.
    pub kl_div_score: f64,
    /// Loss of the model as it is.
    pub ce_loss_without_sae: f64,
    /// Loss with `x̂` in place of `x`.
    pub ce_loss_with_sae: f64,
    /// Loss with zeros in place of `x`.
    pub ce_loss_with_ablation: f64,
    /// Divergence of the predictions with `x̂`, in nats.
    pub kl_div_with_sae: f64,
    /// Divergence of the predictions with zeros.
    pub kl_div_with_ablation: f64,
    /// Vectors.
    pub tokens: usize,
}

/// Vectors, and what an autoencoder makes of them.
#[derive(Clone, Debug, Default)]
pub struct SaeDump {
    /// `[n, d_in]`
    pub input: Vec<f32>,
    /// `[n, d_sae]`
    pub features: Vec<f32>,
    /// `[n, d_in]`
    pub output: Vec<f32>,
    /// What the model read, `[windows, seq]`.
    pub tokens: Vec<i32>,
    /// The token that follows each position that counts, `[windows, seq]`; negative at the others.
    pub targets: Vec<i32>,
    /// Tokens in a window.
    pub seq: usize,
}

/// Measures `sae` at its place in `model` on these windows. The first position of each, the token `separator`, and positions without a
/// target are left as they are. `dump` gets all vectors, if there is one.
pub fn measure_autoencoder<B: Backend>(
    model: &GptModel<B>,
    sae: &SparseAutoencoder<B>,
    separator: Option<u32>,
    batches: impl Iterator<Item = Batch>,
    mut dump: Option<&mut SaeDump>,
) -> SaeMetrics {
    let mut sums = Sums::new(sae.config().d_in, sae.config().d_sae);
    let mut predictions = Predictions::default();
    for batch in batches {
        let counts = counted(&batch, separator);
        let spliced = sums.add(model, sae, &batch, &counts, dump.as_deref_mut());
        predictions.add(model, sae, &batch, &counts, spliced);
    }
    predictions.finish(sums.finish())
}

/// Sums over vectors.
struct Sums {
    vectors: usize,
    active: f64,
    residual: f64,
    norms: f64,
    output_norms: f64,
    products: f64,
    mean: Vec<f64>,
    cosines: f64,
    ratios: f64,
    fired: Vec<u64>,
}

/// A length below which SAELens does not divide.
const SHORT: f64 = 1e-4;

impl Sums {
    fn new(d_in: usize, d_sae: usize) -> Self {
        Self {
            vectors: 0,
            active: 0.0,
            residual: 0.0,
            norms: 0.0,
            output_norms: 0.0,
            products: 0.0,
            mean: vec![0.0; d_in],
            cosines: 0.0,
            ratios: 0.0,
            fired: vec![0; d_sae],
        }
    }

    /// Adds the vectors of a batch that count; gives the batch's values with what the autoencoder makes of those, and with zeros.
    fn add<B: Backend>(
        &mut self,
        model: &GptModel<B>,
        sae: &SparseAutoencoder<B>,
        batch: &Batch,
        counts: &[bool],
        mut dump: Option<&mut SaeDump>,
    ) -> [Tensor<B, 3>; 2] {
        let (device, d_in) = (model.device(), self.mean.len());
        let shape = [batch.windows, batch.seq];
        let tokens = token_tensor(batch.inputs.clone(), shape, &device);
        let stream = model.value_at(tokens, sae.config().hook); // [windows, seq, d_in]
        let input = stream.clone().reshape([batch.windows * batch.seq, d_in]);
        let features = sae.encode(input.clone());
        let output = sae.decode(features.clone());
        let (inputs, all, outputs) = (to_vec(input), to_vec(features), to_vec(output.clone()));
        let rows = inputs.chunks_exact(d_in).zip(outputs.chunks_exact(d_in));
        let rows = rows.zip(all.chunks_exact(self.fired.len())).zip(counts);
        for (((x, y), features), _) in rows.filter(|(_, counts)| **counts) {
            self.add_vector(x, y, features);
            if let Some(dump) = dump.as_deref_mut() {
                dump.input.extend_from_slice(x);
                dump.features.extend_from_slice(features);
                dump.output.extend_from_slice(y);
            }
        }
        if let Some(dump) = dump {
            let target = |(target, counts): (&i32, &bool)| if *counts { *target } else { IGNORED };
            dump.tokens.extend_from_slice(&batch.inputs);
            dump.targets.extend(batch.targets.iter().zip(counts).map(target));
            dump.seq = batch.seq;
        }
        let mask = Tensor::<B, 1, Bool>::from_data(TensorData::from(counts), &device);
        let mask = mask.reshape([batch.windows, batch.seq, 1]).expand([batch.windows, batch.seq, d_in]);
        let rebuilt = output.reshape([batch.windows, batch.seq, d_in]);
        [stream.clone().mask_where(mask.clone(), rebuilt), stream.mask_fill(mask, 0.0)]
    }

    fn add_vector(&mut self, x: &[f32], y: &[f32], features: &[f32]) {
        let sum = |terms: &mut dyn Iterator<Item = f64>| terms.sum::<f64>();
        let pairs = || x.iter().zip(y).map(|(x, y)| (f64::from(*x), f64::from(*y)));
        let (xx, yy) = (sum(&mut pairs().map(|(x, _)| x * x)), sum(&mut pairs().map(|(_, y)| y * y)));
        let xy = sum(&mut pairs().map(|(x, y)| x * y));
        self.vectors += 1;
        self.residual += sum(&mut pairs().map(|(x, y)| (x - y) * (x - y)));
        self.norms += xx;
        self.output_norms += yy;
        self.products += xy;
        self.mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += f64::from(*x));
        if xx > 0.0 && yy > 0.0 {
            self.cosines += xy / (xx * yy).sqrt();
        }
        let length = xx.sqrt();
        self.ratios += yy.sqrt() / if length < SHORT { 1.0 } else { length };
        for (fired, value) in self.fired.iter_mut().zip(features) {
            let active = *value != 0.0;
            *fired += u64::from(active);
            self.active += f64::from(u8::from(active));
        }
    }

    fn finish(self) -> SaeMetrics {
        let n = self.vectors.max(1) as f64;
        let squared_mean: f64 = self.mean.iter().map(|sum| (sum / n).powi(2)).sum();
        let share = |counts: &dyn Fn(u64) -> bool| {
            self.fired.iter().filter(|fired| counts(**fired)).count() as f64 / self.fired.len().max(1) as f64
        };
        SaeMetrics {
            l0: self.active / n,
            explained_variance: 1.0 - self.residual / (self.norms - n * squared_mean),
            cossim: self.cosines / n,
            l2_ratio: self.ratios / n,
            relative_reconstruction_bias: self.output_norms / self.products,
            mse: self.residual / n,
            frac_alive: share(&|fired| fired > 0),
            dead_features: share(&|fired| fired == 0),
            freq_over_10_percent: share(&|fired| fired as f64 > 0.1 * n),
            tokens: self.vectors,
            ..SaeMetrics::default()
        }
    }
}

/// Sums over predictions: of the model as it is, with what the autoencoder makes of its vectors, and with zeros.
#[derive(Default)]
struct Predictions {
    targets: f64,
    losses: [f64; 3],
    divergences: [f64; 2],
}

impl Predictions {
    fn add<B: Backend>(
        &mut self,
        model: &GptModel<B>,
        sae: &SparseAutoencoder<B>,
        batch: &Batch,
        counts: &[bool],
        [rebuilt, zeros]: [Tensor<B, 3>; 2],
    ) {
        let (device, site) = (model.device(), sae.config().hook);
        let rows = batch.windows * batch.seq;
        // At places that do not count any token will do.
        let targets: Vec<i32> = batch.targets.iter().map(|target| *target.max(&0)).collect();
        let targets =
            Tensor::<B, 1, Int>::from_data(TensorData::new(targets, [rows]), &device).unsqueeze_dim(1);
        let weights: Vec<f32> = counts.iter().map(|counts| f32::from(u8::from(*counts))).collect();
        let weights = Tensor::<B, 1>::from_data(TensorData::new(weights, [rows]), (&device, DType::F32));
        let run = |tap: &mut dyn FnMut(Tensor<B, 2, Int>) -> Tensor<B, 3>| {
            let tokens = token_tensor(batch.inputs.clone(), [batch.windows, batch.seq], &device);
            let logits = tap(tokens); // [windows, seq, vocab]
            let vocab = logits.dims()[2];
            log_softmax(logits.reshape([rows, vocab]), 1) // [rows, vocab]
        };
        let splice = |value: Tensor<B, 3>| Splice { site, value };
        let clean = run(&mut |tokens| forward(model, tokens, &mut NoTap));
        let with = run(&mut |tokens| forward(model, tokens, &mut splice(rebuilt.clone())));
        let without = run(&mut |tokens| forward(model, tokens, &mut splice(zeros.clone())));
        let number = |tensor: Tensor<B, 1>| tensor.sum().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        for (sum, log_probabilities) in self.losses.iter_mut().zip([&clean, &with, &without]) {
            let picked = log_probabilities.clone().gather(1, targets.clone()).reshape([rows]);
            *sum -= number(picked * weights.clone());
        }
        for (sum, other) in self.divergences.iter_mut().zip([with, without]) {
            let divergence = (clean.clone().exp() * (clean.clone() - other)).sum_dim(1).reshape([rows]);
            *sum += number(divergence * weights.clone());
        }
        self.targets += counts.iter().filter(|counts| **counts).count() as f64;
    }

    fn finish(self, metrics: SaeMetrics) -> SaeMetrics {
        let [clean, with, without] = self.losses.map(|sum| sum / self.targets.max(1.0));
        let [kl_with, kl_without] = self.divergences.map(|sum| sum / self.targets.max(1.0));
        SaeMetrics {
            ce_loss_score: (without - with) / (without - clean),
            kl_div_score: (kl_without - kl_with) / kl_without,
            ce_loss_without_sae: clean,
            ce_loss_with_sae: with,
            ce_loss_with_ablation: without,
            kl_div_with_sae: kl_with,
            kl_div_with_ablation: kl_without,
            ..metrics
        }
    }
}

fn forward<B: Backend>(
    model: &GptModel<B>,
    tokens: Tensor<B, 2, Int>,
    tap: &mut impl Tap<B>,
) -> Tensor<B, 3> {
    model.forward_tapped(tokens, None, tap)
}
