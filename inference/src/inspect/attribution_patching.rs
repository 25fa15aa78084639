//! Attribution patching: every effect of activation patching at once, estimated by a gradient.

use burn::module::{AutodiffModule, Module};
use burn::tensor::Tensor;
use kiln_model::{AutodiffBackend, GptModel, NoTap, Site, Tap, Watch};
use serde::Serialize;

use super::Recorder;
use super::patching::{Answer, Direction, PatchTask, PatchedValue};
use crate::error::Result;
use crate::tokens::{to_vec, upload};

/// What a gradient says about the effect of a value in every block, at every position or in every head.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AttributionGrid {
    /// The value, as in [`PatchGrid`](super::PatchGrid).
    pub value: &'static str,
    /// What the columns are: `position` or `head`.
    pub columns: &'static str,
    /// The estimate of [`PatchGrid::effect`](super::PatchGrid::effect), `[n_layers][columns]`.
    pub effect: Vec<Vec<f64>>,
    /// The estimate of how much the patch changes the logit difference, `[n_layers][columns]`.
    pub change: Vec<Vec<f64>>,
}

/// Estimates what [`activation_patching`](super::activation_patching) measures, by the slope of the logit difference `m` in the
/// run that is patched: `(a_source - a_base) · ∂m/∂a` for each value `a` (<https://arxiv.org/abs/2310.10348>, §3).
///
/// Three forward passes and a backward pass, whatever the size of the grids.
///
/// # Errors
///
/// Those of [`activation_patching`](super::activation_patching).
pub fn attribution_patching<B: AutodiffBackend>(
    model: &GptModel<B>,
    task: &PatchTask,
    values: &[PatchedValue],
) -> Result<Vec<AttributionGrid>> {
    let inner: GptModel<B::InnerBackend> = model.valid();
    task.check(&inner)?;
    let clean = Answer::to(&inner, &task.clean, task.answers)?;
    let corrupt = Answer::to(&inner, &task.corrupt, task.answers)?;
    let range = clean.logit_difference - corrupt.logit_difference;
    let start = match task.direction {
        Direction::Denoising => 0.0,
        Direction::Noising => 1.0,
    };
    let n_layers = model.config().n_layers;
    let sites: Vec<Site> =
        values.iter().flat_map(|value| (0..n_layers).map(|layer| value.site(layer))).collect();
    let mut source = Recorder::of(sites.clone());
    inner.stream(upload(&inner, task.source()), None, &mut source);
    let base = Slopes::of(model, task.base(), task.answers, &sites);

    let seq = task.clean.len();
    let grids = values.iter().map(|value| {
        let columns = value.num_columns(model.config().heads(), seq);
        let change: Vec<Vec<f64>> = (0..n_layers)
            .map(|layer| {
                let site = value.site(layer);
                let source = source.get(site).expect("it was asked for").to_vec();
                let products = base.products(site, &source);
                // Values of a position or of a head lie together, except for the one batch around them.
                products.chunks(products.len() / columns).map(|part| part.iter().sum()).collect()
            })
            .collect();
        let effect = change.iter().map(|row| row.iter().map(|change| start + change / range).collect());
        AttributionGrid { value: value.name(), columns: value.columns(), effect: effect.collect(), change }
    });
    Ok(grids.collect())
}

/// A run, with the slope of the logit difference at the places of a recording.
struct Slopes<B: AutodiffBackend> {
    sites: Vec<Site>,
    /// Each value, and the slope, row by row.
    slopes: Vec<(Site, Vec<f32>, Vec<f32>)>,
    leaves: Vec<Leaf<B>>,
}

/// A value, and zeros that were added to it. They start a path of gradients, which a value on the way cannot.
struct Leaf<B: AutodiffBackend> {
    site: Site,
    value: Vec<f32>,
    zeros: Tensor<B, 1>,
}

impl<B: AutodiffBackend> Slopes<B> {
    fn of(model: &GptModel<B>, tokens: &[u32], [right, wrong]: [u32; 2], sites: &[Site]) -> Self {
        let mut slopes = Self { sites: sites.to_vec(), slopes: Vec::new(), leaves: Vec::new() };
        // The weights need no gradient.
        let model = model.clone().no_grad();
        let stream = model.stream(upload(&model, tokens), None, &mut slopes); // [1, seq, d_model]
        let last = stream.narrow(1, tokens.len() - 1, 1); // [1, 1, d_model]
        let logits = model.logits(last, &mut NoTap); // [1, 1, vocab]
        let logit = |token: u32| logits.clone().narrow(2, token as usize, 1);
        let gradients = (logit(right) - logit(wrong)).sum().backward();
        for Leaf { site, value, zeros } in std::mem::take(&mut slopes.leaves) {
            // Nothing depends on some: the last block's stream at other positions, for instance.
            let slope = zeros.grad(&gradients).map_or_else(|| vec![0.0; value.len()], to_vec);
            slopes.slopes.push((site, value, slope));
        }
        slopes
    }

    /// `(source - value) · slope`, number by number, at one place.
    fn products(&self, site: Site, source: &[f32]) -> Vec<f64> {
        let (_, value, slope) =
            self.slopes.iter().find(|(found, ..)| *found == site).expect("it was asked for");
        let numbers = source.iter().zip(value).zip(slope);
        numbers
            .map(|((source, value), slope)| (f64::from(*source) - f64::from(*value)) * f64::from(*slope))
            .collect()
    }
}

impl<B: AutodiffBackend> Tap<B> for Slopes<B> {
    fn watches(&self) -> Watch {
        if self.sites.iter().all(|site| site.is_on_stream()) { Watch::Stream } else { Watch::Everything }
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        if !self.sites.contains(&site) {
            return value;
        }
        let dims = value.dims();
        let zeros = Tensor::<B, 1>::zeros([value.shape().num_elements()], &value.device()).require_grad();
        self.leaves.push(Leaf { site, value: to_vec(value.clone().inner()), zeros: zeros.clone() });
        value + zeros.reshape(dims)
    }
}

/// Pearson's correlation of two grids of one shape; no number where one of them is constant.
///
/// # Panics
///
/// If they have not as many numbers.
pub fn correlation(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let (a, b): (Vec<f64>, Vec<f64>) = (a.concat(), b.concat());
    assert_eq!(a.len(), b.len(), "two grids of one shape");
    let mean = |grid: &[f64]| grid.iter().sum::<f64>() / grid.len() as f64;
    let (mean_a, mean_b) = (mean(&a), mean(&b));
    let (mut both, mut only_a, mut only_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        both += (a - mean_a) * (b - mean_b);
        only_a += (a - mean_a).powi(2);
        only_b += (b - mean_b).powi(2);
    }
    both / (only_a * only_b).sqrt()
}
