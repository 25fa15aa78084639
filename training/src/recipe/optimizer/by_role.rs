//! The optimizer of a whole module.

use std::collections::HashMap;
use std::marker::PhantomData;

use burn::module::{AutodiffModule, ModuleMapper, Param, ParamId};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::record::AdaptorRecord;
use burn::optim::{GradientsParams, MultiGradientsParams, Optimizer};
use burn::tensor::Tensor;
use kiln_model::{AutodiffBackend, Parameter, Role, parameters};

use super::adamw::AdamW;
use super::muon::Muon;
use super::rule::Rule;
use crate::OptimizerConfig;
use crate::recipe::clip::{ScaledStep, sum_of_devices};

/// Muon for the matrices of layers, where the configuration has a learning rate for it, and AdamW for the rest;
/// [`init`](Self::init) makes an optimizer of it.
#[derive(Clone, Debug)]
pub struct ByRole {
    /// The numbers of both. AdamW's learning rate comes with each step, and Muon's is as many times as large as in here; the limit of the gradients' norm is
    /// [`ClipGlobalNorm`](crate::ClipGlobalNorm)'s.
    pub config: OptimizerConfig,
    /// Which parameters decay; [`Role::decays`] in GPT-2's recipe.
    pub decays: fn(Role) -> bool,
}

impl ByRole {
    /// The optimizer of a whole module.
    pub fn init<B: AutodiffBackend, M: AutodiffModule<B>>(self) -> ByRoleOptimizer<B, M> {
        ByRoleOptimizer {
            by_role: self,
            moments: Records::<B, M>::default(),
            rules: None,
            module: PhantomData,
        }
    }

    fn rule(&self, parameter: Parameter) -> Rule {
        let Self { config, decays } = self;
        let decays = decays(parameter.role);
        let is_matrix = parameter.role == Role::Matrix && parameter.shape.len() == 2;
        if is_matrix && config.muon_learning_rate > 0.0 {
            Rule::Muon(Muon::new(config, decays, parameter.parts))
        } else {
            Rule::AdamW(AdamW::new(config, decays))
        }
    }
}

/// The moments of all parameters, as Burn's own optimizers record them.
type Records<B, M> = <OptimizerAdaptor<Rule, M, B> as Optimizer<M, B>>::Record;

/// [`ByRole`] over a module. A parameter without a gradient stays as it is, and has no moments.
#[derive(Clone)]
pub struct ByRoleOptimizer<B: AutodiffBackend, M: AutodiffModule<B>> {
    by_role: ByRole,
    moments: Records<B, M>,
    /// The rule of each parameter, once they are known.
    rules: Option<HashMap<ParamId, Rule>>,
    module: PhantomData<M>,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> Optimizer<M, B> for ByRoleOptimizer<B, M> {
    type Record = Records<B, M>;

    fn step(&mut self, learning_rate: f64, module: M, gradients: GradientsParams) -> M {
        self.scaled_step(learning_rate, 1.0, module, gradients)
    }

    fn step_multi(&mut self, learning_rate: f64, module: M, gradients: MultiGradientsParams) -> M {
        let gradients = sum_of_devices(&module, gradients);
        self.step(learning_rate, module, gradients)
    }

    fn to_record(&self) -> Self::Record {
        self.moments.clone()
    }

    /// Parameters have other ids in a module that was loaded: their rules are looked up anew.
    fn load_record(self, moments: Self::Record) -> Self {
        Self { moments, rules: None, ..self }
    }
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> ScaledStep<M, B> for ByRoleOptimizer<B, M> {
    fn scaled_step(
        &mut self,
        learning_rate: f64,
        gradient_scale: f64,
        module: M,
        mut gradients: GradientsParams,
    ) -> M {
        let rules = self.rules.get_or_insert_with(|| {
            let found = parameters(&module).into_iter();
            found.map(|parameter| (parameter.id, self.by_role.rule(parameter))).collect()
        });
        let (moments, gradients) = (&mut self.moments, &mut gradients);
        module.map(&mut Update::<B, M> { rules, moments, gradients, learning_rate, gradient_scale })
    }
}

/// Updates every parameter that has a gradient.
struct Update<'a, B: AutodiffBackend, M: AutodiffModule<B>> {
    rules: &'a HashMap<ParamId, Rule>,
    moments: &'a mut Records<B, M>,
    gradients: &'a mut GradientsParams,
    learning_rate: f64,
    gradient_scale: f64,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> ModuleMapper<B> for Update<'_, B, M> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = parameter.consume();
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let moments = self.moments.remove(&id).map(AdaptorRecord::into_state);
        let (rule, parameter) = (&self.rules[&id], tensor.inner());
        let (updated, moments) =
            rule.update(self.learning_rate, self.gradient_scale, parameter, gradient, moments);
        self.moments.insert(id, AdaptorRecord::from_state(moments));
        // Only what requires a gradient has one.
        Param::from_mapped_value(id, Tensor::from_inner(updated).require_grad(), mapper)
    }
}
