//! Which parameters of a module train.

use std::collections::HashSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use globset::{Glob, GlobSet};
use kiln_model::{AutodiffBackend, Parameter};

use crate::error::{Error, Result};

/// The parameters that `training.freeze` names.
pub(crate) struct Frozen(GlobSet);

impl Frozen {
    /// Those of `names` that match one of `patterns`, by their name or by that of a layer they belong to: `wte`, `h.0`,
    /// `*.bias`. `*` stands for any text.
    ///
    /// # Errors
    ///
    /// [`Error::Freeze`] for a pattern that matches nothing, with the names that there are.
    pub(crate) fn new(patterns: &[String], names: &[&str]) -> Result<Self> {
        let mut globs = GlobSet::builder();
        for pattern in patterns {
            let refused = |reason| Error::Freeze { pattern: pattern.clone(), reason };
            let glob = Glob::new(pattern).map_err(|error| refused(error.kind().to_string()))?;
            let matcher = glob.compile_matcher();
            if !names.iter().any(|name| paths(name).any(|path| matcher.is_match(path))) {
                return Err(refused(format!("matches none of {}", names.join(", "))));
            }
            globs.add(glob);
        }
        let refused = |error: globset::Error| Error::Freeze {
            pattern: patterns.join(", "),
            reason: error.kind().to_string(),
        };
        globs.build().map(Self).map_err(refused)
    }

    /// Whether it stays as it is.
    pub(crate) fn contains(&self, name: &str) -> bool {
        paths(name).any(|path| self.0.is_match(path))
    }
}

/// A parameter's name, and those of the layers it belongs to: `h`, `h.0`, …, `h.0.ln_1.weight`.
fn paths(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(end, _)| &name[..end]).chain([name])
}

/// The module with the parameters frozen that `patterns` name among `parameters`: they have no gradient, and hence no
/// moments and no update.
///
/// # Errors
///
/// [`Error::Freeze`] for a pattern that matches nothing.
pub(crate) fn freeze<B: AutodiffBackend, M: Module<B>>(
    module: M,
    parameters: &[Parameter],
    patterns: &[String],
) -> Result<M> {
    if patterns.is_empty() {
        return Ok(module);
    }
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let frozen = Frozen::new(patterns, &names)?;
    let frozen = parameters.iter().filter(|parameter| frozen.contains(&parameter.name));
    Ok(module.map(&mut Freeze(frozen.map(|parameter| parameter.id).collect())))
}

/// Numbers in the parameters of `module` that learn.
pub(crate) fn num_trained<B: AutodiffBackend, M: Module<B>>(module: &M) -> usize {
    let mut trained = Trained(0);
    module.visit(&mut trained);
    trained.0
}

struct Trained(usize);

impl<B: AutodiffBackend> ModuleVisitor<B> for Trained {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        if parameter.is_require_grad() {
            self.0 += parameter.shape().num_elements();
        }
    }
}

struct Freeze(HashSet<ParamId>);

impl<B: AutodiffBackend> ModuleMapper<B> for Freeze {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        if self.0.contains(&parameter.id) { parameter.set_require_grad(false) } else { parameter }
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::Optimizer;
    use burn_autodiff::Autodiff;
    use burn_ndarray::NdArray;
    use burn_train::TrainStep;
    use kiln_datasets::Batch;
    use kiln_model::{GptConfig, parameters};

    use super::*;
    use crate::{LanguageModel, MicroBatches, OptimizerConfig};

    type B = Autodiff<NdArray>;

    #[test]
    fn what_is_frozen_has_no_gradient_no_moments_and_stays() {
        let config = GptConfig { vocab_size: 5, context_length: 4, ..GptConfig::new(2, 1, 8) };
        let gpt = config.init::<B>(1, &Default::default()).expect("valid");
        let found = parameters(&gpt);
        let patterns = ["wte", "h.0.*"].map(str::to_owned);
        let model = LanguageModel { gpt: gpt.clone() };
        let model = freeze::<B, _>(model, &found, &patterns).expect("both match");

        let batch = Batch { inputs: vec![0, 1, 2, 3], targets: vec![1, 2, 3, 4], windows: 1, seq: 4 };
        let output = TrainStep::step(&model, MicroBatches::from(vec![batch]));
        assert_eq!(output.grads.len(), found.len() - 13);
        let mut optimizer = OptimizerConfig::default().by_role().init::<B, LanguageModel<B>>();
        let trained = optimizer.step(0.1, model, output.grads).gpt;
        assert_eq!(optimizer.to_record().len(), found.len() - 13);
        let values = |tensor: Tensor<B, 2>| tensor.into_data().to_vec::<f32>().expect("f32");
        let weights = [&gpt, &trained].map(|gpt| {
            [gpt.wte.weight.val(), gpt.wpe.as_ref().expect("learned positions").weight.val()].map(values)
        });
        assert_eq!(weights[0][0], weights[1][0]);
        assert_ne!(weights[0][1], weights[1][1]);
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_refused_with_the_names() {
        let names = ["wte.weight", "wpe.weight"];
        let refused =
            |pattern: &str| Frozen::new(&[pattern.to_owned()], &names).err().map(|error| error.to_string());
        let message = "training.freeze = \"wp\": matches none of wte.weight, wpe.weight";
        assert_eq!(refused("wp").as_deref(), Some(message));
        assert!(refused("[").is_some());
        assert_eq!((refused("*"), refused("wpe"), refused("w*e.weight")), (None, None, None));
    }
}
