//! The parameters of a module, and their gradients, by name.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use kiln_model::AutodiffBackend;

/// Numbers by the name of their parameter.
pub type Named = BTreeMap<String, Vec<f64>>;

/// The values of every parameter.
pub fn values<B: AutodiffBackend>(module: &impl Module<B>) -> Named {
    visit(module, None)
}

/// The gradient of every parameter.
///
/// # Panics
///
/// If one has none.
pub fn gradients<B: AutodiffBackend>(module: &impl Module<B>, gradients: &GradientsParams) -> Named {
    visit(module, Some(gradients))
}

fn visit<B: AutodiffBackend>(module: &impl Module<B>, gradients: Option<&GradientsParams>) -> Named {
    let mut collector = Collector { path: Vec::new(), gradients, found: Named::new() };
    module.visit(&mut collector);
    collector.found
}

struct Collector<'a> {
    path: Vec<String>,
    gradients: Option<&'a GradientsParams>,
    found: Named,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Collector<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        let name = self.path.join(".");
        let data = match self.gradients {
            Some(gradients) => {
                let gradient = gradients.get::<B::InnerBackend, D>(parameter.id);
                gradient.unwrap_or_else(|| panic!("{name} has no gradient")).into_data()
            }
            None => parameter.val().into_data(),
        };
        self.found.insert(name, data.iter::<f64>().collect());
    }
}
