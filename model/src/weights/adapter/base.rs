//! What tells the model that an adapter belongs to from any other.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use xxhash_rust::xxh3::Xxh3;

use crate::Backend;
use crate::parameters::{ParameterPath, Role};

/// XXH3 of the weights that an adapter is trained beside: all but positions, which a shorter context cuts, heads, which a
/// classifier replaces, and adapters themselves.
pub fn base_checksum<B: Backend, M: Module<B>>(module: &M) -> String {
    let mut checksum = BaseChecksum::default();
    module.visit(&mut checksum);
    format!("{:016x}", checksum.hash.digest())
}

#[derive(Default)]
struct BaseChecksum {
    path: ParameterPath,
    hash: Xxh3,
}

impl<B: Backend> ModuleVisitor<B> for BaseChecksum {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        if !matches!(self.path.role(D), Role::Position | Role::Head | Role::Adapter) {
            let data = parameter.val().into_data();
            self.hash.update(format!("{:?}\n", data.shape).as_bytes());
            self.hash.update(data.as_bytes());
        }
    }
}
