//! Clipping by the global norm: the gradients of all parameters are scaled as one vector, so its direction stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{GradientsParams, MultiGradientsParams, Optimizer, SimpleOptimizer};
use burn::tensor::{Tensor, TensorPrimitive};
use kiln_model::{AutodiffBackend, Backend};

/// An optimizer that takes a step on gradients times a factor.
pub trait ScaledStep<M: AutodiffModule<B>, B: AutodiffBackend>: Optimizer<M, B> {
    /// [`step`](Optimizer::step) with every gradient times `gradient_scale`.
    fn scaled_step(
        &mut self,
        learning_rate: f64,
        gradient_scale: f64,
        module: M,
        gradients: GradientsParams,
    ) -> M;
}

/// Burn's own optimizers scale in a pass over the gradients.
impl<O, M, B> ScaledStep<M, B> for OptimizerAdaptor<O, M, B>
where
    O: SimpleOptimizer<B::InnerBackend>,
    M: AutodiffModule<B>,
    B: AutodiffBackend,
{
    fn scaled_step(
        &mut self,
        learning_rate: f64,
        gradient_scale: f64,
        module: M,
        mut gradients: GradientsParams,
    ) -> M {
        if gradient_scale != 1.0 {
            module.visit(&mut Scale { gradients: &mut gradients, factor: gradient_scale });
        }
        self.step(learning_rate, module, gradients)
    }
}

/// An optimizer whose gradients are first scaled down to a global norm of at most `max_norm`, as PyTorch's
/// `clip_grad_norm_` does. A step whose gradients are not finite is left out.
#[derive(Clone)]
pub struct ClipGlobalNorm<O> {
    inner: O,
    max_norm: f64,
    observed: Arc<ObservedNorm>,
}

/// What clipping saw; shared with whoever reports it.
#[derive(Debug, Default)]
pub(crate) struct ObservedNorm {
    norm: AtomicU64,
    skipped: AtomicUsize,
}

impl ObservedNorm {
    /// Global norm of the last step's gradients, before clipping.
    pub(crate) fn norm(&self) -> f64 {
        f64::from_bits(self.norm.load(Ordering::Relaxed))
    }

    /// Steps left out because their gradients were not finite.
    pub(crate) fn skipped(&self) -> usize {
        self.skipped.load(Ordering::Relaxed)
    }
}

impl<O> ClipGlobalNorm<O> {
    /// `max_norm = 0` measures the norm without clipping.
    pub fn new(inner: O, max_norm: f64) -> Self {
        Self { inner, max_norm, observed: Arc::default() }
    }

    pub(crate) fn observed(&self) -> Arc<ObservedNorm> {
        Arc::clone(&self.observed)
    }
}

impl<O, M, B> Optimizer<M, B> for ClipGlobalNorm<O>
where
    O: ScaledStep<M, B>,
    M: AutodiffModule<B>,
    B: AutodiffBackend,
{
    type Record = O::Record;

    fn step(&mut self, learning_rate: f64, module: M, gradients: GradientsParams) -> M {
        let mut squares = SumOfSquares::<B> { gradients: &gradients, sum: None };
        module.visit(&mut squares);
        let sum = squares.sum.map_or(0.0, |sum| sum.into_data().iter::<f64>().next().unwrap_or(0.0));
        let norm = sum.sqrt();
        self.observed.norm.store(norm.to_bits(), Ordering::Relaxed);
        if !norm.is_finite() {
            self.observed.skipped.fetch_add(1, Ordering::Relaxed);
            return module;
        }
        let clips = self.max_norm > 0.0 && norm > self.max_norm;
        // PyTorch's guard against division by zero, kept for equal numbers.
        let gradient_scale = if clips { self.max_norm / (norm + 1e-6) } else { 1.0 };
        self.inner.scaled_step(learning_rate, gradient_scale, module, gradients)
    }

    fn step_multi(&mut self, learning_rate: f64, module: M, gradients: MultiGradientsParams) -> M {
        // Or there would be no global norm.
        let gradients = sum_of_devices(&module, gradients);
        self.step(learning_rate, module, gradients)
    }

    fn to_record(&self) -> Self::Record {
        self.inner.to_record()
    }

    fn load_record(self, record: Self::Record) -> Self {
        Self { inner: self.inner.load_record(record), ..self }
    }
}

struct SumOfSquares<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for SumOfSquares<'_, B> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(parameter.id) {
            let squares = B::InnerBackend::sum_of_squares(gradient.into_primitive().tensor());
            let squares = Tensor::from_primitive(TensorPrimitive::Float(squares));
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(parameter.id) {
            self.gradients.register(parameter.id, gradient * self.factor);
        }
    }
}

/// The gradients of several devices, summed on one.
pub(super) fn sum_of_devices<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    mut gradients: MultiGradientsParams,
) -> GradientsParams {
    let mut sum = GradientsParams::new();
    module.visit(&mut Sum { from: &mut gradients, to: &mut sum });
    sum
}

struct Sum<'a> {
    from: &'a mut MultiGradientsParams,
    to: &'a mut GradientsParams,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Sum<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        if let Some((gradient, _)) = self.from.remove::<B::InnerBackend, D>(parameter.id) {
            self.to.register(parameter.id, gradient);
        }
    }
}
