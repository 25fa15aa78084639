//! Weights for inference, in fewer bits or not: generation is as fast as they can be read.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::parameters::{ParameterPath, Role};
use crate::{Backend, GptModel, backend};

/// How the matrices of a model lie in memory for inference. Biases, norms, positions and adapters are always f32, and
/// so is what is computed with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit IEEE, in the order in which the backend reads them fastest.
    #[default]
    F32,
    /// 16-bit brain float: the upper half of an f32, with three significant digits.
    Bf16,
    /// 8-bit integers, with a scale for each output channel of a matrix.
    Int8,
}

impl Precision {
    /// `f32`, `bf16` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

/// Which axis of a matrix numbers what it computes: a scale belongs to one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// `[d_out, d_in]`: the embedding table, as the head uses it.
    Rows,
    /// `[d_in, d_out]`: a linear layer.
    Columns,
}

impl<B: Backend> GptModel<B> {
    /// The same model with its matrices as inference reads them fastest. It can generate, score and be
    /// evaluated, but not learn; in fewer bits than f32 it cannot be saved either.
    ///
    /// # Errors
    ///
    /// [`Error::Precision`] if the backend cannot hold them so, [`Error::Packed`] if they are in fewer bits
    /// already.
    pub fn with_precision(self, precision: Precision) -> Result<Self> {
        let mut converter = Converter { precision, path: ParameterPath::default(), error: None };
        let model = self.map(&mut converter);
        match converter.error {
            None => Ok(model),
            Some(error) => Err(error),
        }
    }
}

/// The parameter called `name` in this precision, if it is a matrix that a layer multiplies by.
pub(crate) fn pack<B: Backend, const D: usize>(
    name: &str,
    role: Role,
    weight: Tensor<B, D>,
    precision: Precision,
) -> Result<Tensor<B, D>> {
    if backend::is_packed(&weight) {
        return Err(Error::Packed { parameter: name.to_owned() });
    }
    let channels = match role {
        Role::Embedding | Role::Head => Channels::Rows,
        Role::Matrix => Channels::Columns,
        Role::Position | Role::Norm | Role::Bias | Role::Scalar | Role::Adapter => return Ok(weight),
    };
    let backend = B::name(&weight.device());
    let matrix = Tensor::from_primitive(weight.into_primitive());
    match backend::pack::<B>(matrix, channels, precision) {
        Some(weight) => Ok(Tensor::from_primitive(weight.into_primitive())),
        None => Err(Error::Precision { precision: precision.name(), backend }),
    }
}

struct Converter {
    precision: Precision,
    path: ParameterPath,
    error: Option<Error>,
}

impl<B: Backend> ModuleMapper<B> for Converter {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, weight, _) = parameter.consume();
        match pack(&self.path.name(), self.path.role(D), weight.clone(), self.precision) {
            Ok(weight) => Param::initialized(id, weight),
            Err(error) => {
                self.error.get_or_insert(error);
                Param::initialized(id, weight)
            }
        }
    }
}
