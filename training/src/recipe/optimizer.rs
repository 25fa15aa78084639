//! AdamW over a module, with decay groups: which parameters decay is a matter of their role, not of their shape.

use std::collections::HashSet;
use std::marker::PhantomData;

use burn::module::{AutodiffModule, ModuleMapper, Param, ParamId};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::record::AdaptorRecord;
use burn::optim::{GradientsParams, MultiGradientsParams, Optimizer, SimpleOptimizer};
use burn::record::Record;
use burn::tensor::backend::Backend as BurnBackend;
use burn::tensor::{Tensor, TensorPrimitive};
use kiln_model::{AdamWStep, AutodiffBackend, Backend, Role, parameters};

use super::clip::sum_of_devices;
use super::config::OptimizerConfig;

/// AdamW (<https://arxiv.org/abs/1711.05101>) and the parameters that it decays; [`AdamW::init`] makes an optimizer of it.
#[derive(Clone, Debug)]
pub struct AdamW {
    /// Its numbers. The learning rate comes with each step; the limit of the gradients' norm is
    /// [`ClipGlobalNorm`](crate::ClipGlobalNorm)'s.
    pub config: OptimizerConfig,
    /// Which parameters decay; [`Role::decays`] in GPT-2's recipe.
    pub decays: fn(Role) -> bool,
}

impl AdamW {
    /// The optimizer of a whole module.
    pub fn init<B: AutodiffBackend, M: AutodiffModule<B>>(self) -> AdamWOptimizer<B, M> {
        AdamWOptimizer {
            adamw: self,
            moments: Records::<B, M>::default(),
            decaying: None,
            module: PhantomData,
        }
    }
}

/// What AdamW remembers of a parameter.
#[derive(Record, Clone)]
pub struct Moments<B: BurnBackend, const D: usize> {
    /// Running mean of the gradient, shaped like the parameter.
    pub first: Tensor<B, D>,
    /// Running mean of the squared gradient, shaped like the parameter.
    pub second: Tensor<B, D>,
    /// Updates so far.
    pub step: usize,
}

/// The update of one parameter: [`Backend::adamw_step`] with these numbers.
impl<B: Backend> SimpleOptimizer<B> for AdamW {
    type State<const D: usize> = Moments<B, D>;

    fn step<const D: usize>(
        &self,
        learning_rate: f64,
        parameter: Tensor<B, D>,
        gradient: Tensor<B, D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<B, D>, Option<Self::State<D>>) {
        let Moments { first, second, step } = state.unwrap_or_else(|| {
            let zeros = || gradient.zeros_like();
            Moments { first: zeros(), second: zeros(), step: 0 }
        });
        let step = step + 1;
        let OptimizerConfig { beta1, beta2, epsilon, weight_decay, .. } = self.config;
        let update = AdamWStep { learning_rate, beta1, beta2, epsilon, weight_decay, step };
        let primitive = |tensor: Tensor<B, D>| tensor.into_primitive().tensor();
        let updated = B::adamw_step(
            primitive(parameter),
            primitive(gradient),
            primitive(first),
            primitive(second),
            update,
        );
        let [parameter, first, second] =
            updated.map(|primitive| Tensor::from_primitive(TensorPrimitive::Float(primitive)));
        (parameter, Some(Moments { first, second, step }))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &B::Device) -> Self::State<D> {
        let Moments { first, second, step } = state;
        Moments { first: first.to_device(device), second: second.to_device(device), step }
    }
}

/// The moments of all parameters, as Burn's own optimizers record them.
type Records<B, M> = <OptimizerAdaptor<AdamW, M, B> as Optimizer<M, B>>::Record;

/// [`AdamW`] over a module. A parameter without a gradient stays as it is, and has no moments.
#[derive(Clone)]
pub struct AdamWOptimizer<B: AutodiffBackend, M: AutodiffModule<B>> {
    adamw: AdamW,
    moments: Records<B, M>,
    /// Parameters that decay, once they are known.
    decaying: Option<HashSet<ParamId>>,
    module: PhantomData<M>,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> Optimizer<M, B> for AdamWOptimizer<B, M> {
    type Record = Records<B, M>;

    fn step(&mut self, learning_rate: f64, module: M, mut gradients: GradientsParams) -> M {
        let AdamW { config, decays } = self.adamw.clone();
        let decaying = self.decaying.get_or_insert_with(|| {
            let decaying = parameters(&module).into_iter().filter(|parameter| decays(parameter.role));
            decaying.map(|parameter| parameter.id).collect()
        });
        let constant = AdamW { config: OptimizerConfig { weight_decay: 0.0, ..config }, decays };
        module.map(&mut Update::<B, M> {
            adamw: &|id| if decaying.contains(&id) { &self.adamw } else { &constant },
            moments: &mut self.moments,
            gradients: &mut gradients,
            learning_rate,
        })
    }

    fn step_multi(&mut self, learning_rate: f64, module: M, gradients: MultiGradientsParams) -> M {
        let gradients = sum_of_devices(&module, gradients);
        self.step(learning_rate, module, gradients)
    }

    fn to_record(&self) -> Self::Record {
        self.moments.clone()
    }

    /// Parameters have other ids in a module that was loaded: the decaying ones are looked up anew.
    fn load_record(self, moments: Self::Record) -> Self {
        Self { moments, decaying: None, ..self }
    }
}

/// Updates every parameter that has a gradient.
struct Update<'a, B: AutodiffBackend, M: AutodiffModule<B>> {
    adamw: &'a dyn Fn(ParamId) -> &'a AdamW,
    moments: &'a mut Records<B, M>,
    gradients: &'a mut GradientsParams,
    learning_rate: f64,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> ModuleMapper<B> for Update<'_, B, M> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = parameter.consume();
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let moments = self.moments.remove(&id).map(AdaptorRecord::into_state);
        let adamw = (self.adamw)(id);
        let (updated, moments) = adamw.step(self.learning_rate, tensor.inner(), gradient, moments);
        self.moments.extend(moments.map(|moments| (id, AdaptorRecord::from_state(moments))));
        // Only what requires a gradient has one.
        Param::from_mapped_value(id, Tensor::from_inner(updated).require_grad(), mapper)
    }
}
