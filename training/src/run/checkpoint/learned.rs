//! The parameters that learn beside a model that does not: all that a checkpoint of an adapter holds of it.

use std::sync::OnceLock;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::record::Record;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend as BurnBackend;
use kiln_model::{Backend, Role, base_checksum, parameters};

/// In the order in which the module is visited.
#[derive(Record)]
pub(super) struct Learned<B: BurnBackend> {
    /// The checksum of the weights that stay, which are in the files of their own model.
    base: String,
    vectors: Vec<Param<Tensor<B, 1>>>,
    matrices: Vec<Param<Tensor<B, 2>>>,
}

impl<B: Backend> Learned<B> {
    /// What learns in `module`; `None` if it has no adapter, and is recorded as a whole. `base` keeps the checksum of what
    /// stays: reading all weights takes longer than writing an adapter.
    pub(super) fn of<M: Module<B>>(module: &M, base: &OnceLock<String>) -> Option<Self> {
        if !has_adapter(module) {
            return None;
        }
        let base = base.get_or_init(|| base_checksum::<B, M>(module)).clone();
        let mut learned = Self { base, vectors: Vec::new(), matrices: Vec::new() };
        module.visit(&mut learned);
        Some(learned)
    }

    /// The module with these parameters; `Err` says what does not fit.
    pub(super) fn put<M: Module<B>>(self, module: M) -> Result<M, String> {
        let found = base_checksum::<B, M>(&module);
        if found != self.base {
            return Err(format!(
                "an adapter that was trained beside weights with the checksum {}; those of its model are {found}",
                self.base
            ));
        }
        let mut put =
            Put { vectors: self.vectors.into_iter(), matrices: self.matrices.into_iter(), misfit: None };
        let module = module.map(&mut put);
        let left = put.vectors.len() + put.matrices.len();
        match put.misfit {
            Some(misfit) => Err(misfit),
            None if left > 0 => Err(format!("{left} parameters more than the adapter has")),
            None => Ok(module),
        }
    }
}

/// Whether a module has an adapter, beside which the rest does not learn.
pub(super) fn has_adapter<B: Backend, M: Module<B>>(module: &M) -> bool {
    parameters::<B, M>(module).iter().any(|parameter| parameter.role == Role::Adapter)
}

/// A tensor whose number of axes is known from elsewhere.
fn with_axes<B: Backend, const D: usize, const E: usize>(tensor: Tensor<B, D>) -> Tensor<B, E> {
    Tensor::from_primitive(tensor.into_primitive())
}

impl<B: Backend> ModuleVisitor<B> for Learned<B> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        let (id, tensor) = (parameter.id, parameter.val());
        match D {
            _ if !parameter.is_require_grad() => {}
            1 => self.vectors.push(Param::initialized(id, with_axes(tensor))),
            2 => self.matrices.push(Param::initialized(id, with_axes(tensor))),
            _ => unreachable!("parameters are vectors and matrices"),
        }
    }
}

/// Replaces what learns.
struct Put<B: Backend> {
    vectors: std::vec::IntoIter<Param<Tensor<B, 1>>>,
    matrices: std::vec::IntoIter<Param<Tensor<B, 2>>>,
    misfit: Option<String>,
}

impl<B: Backend> ModuleMapper<B> for Put<B> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        if !parameter.is_require_grad() {
            return parameter;
        }
        let next = match D {
            1 => self.vectors.next().map(|next| (next.id, with_axes(next.val()))),
            _ => self.matrices.next().map(|next| (next.id, with_axes(next.val()))),
        };
        let expected = parameter.shape();
        match next {
            Some((id, tensor)) if Tensor::shape(&tensor) == expected => {
                Param::initialized(id, tensor.detach().require_grad())
            }
            Some((_, tensor)) => {
                let found = Tensor::shape(&tensor);
                self.misfit.get_or_insert_with(|| {
                    format!("a parameter of shape {found:?}, where the adapter has {expected:?}")
                });
                parameter
            }
            None => {
                self.misfit.get_or_insert_with(|| "fewer parameters than the adapter has".to_owned());
                parameter
            }
        }
    }
}
