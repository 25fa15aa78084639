//! The number format that a model computes in while it learns.

use burn::tensor::DType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::{Backend, GptModel};

/// How a model computes while it learns (mixed precision, <https://arxiv.org/abs/1710.03740>). In each of them its
/// parameters, their gradients, the sums of norms and softmax, and the loss are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputePrecision {
    /// Everything in 32-bit IEEE.
    #[default]
    F32,
    /// Products round their factors to 19 bits and add up in f32; NVIDIA GPUs since Ampere. It holds for the whole
    /// process.
    Tf32,
    /// The residual stream, and what is computed from it, is 16-bit brain float; so are the factors of products.
    Bf16,
}

impl ComputePrecision {
    /// `f32`, `tf32` or `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    /// What the residual stream is rounded to, if that is not the parameters' own type.
    pub fn stream(self) -> Option<DType> {
        match self {
            Self::F32 | Self::Tf32 => None,
            Self::Bf16 => Some(DType::BF16),
        }
    }
}

impl<B: Backend> GptModel<B> {
    /// The same model, whose [`loss`](Self::loss) is computed in this precision.
    ///
    /// # Errors
    ///
    /// [`Error::ComputePrecision`] if the backend cannot do so on the model's device.
    pub fn with_compute_precision(mut self, precision: ComputePrecision) -> Result<Self> {
        let device = self.device();
        if !B::set_compute_precision(precision, &device) {
            let name = B::name(&device);
            let backend =
                name.strip_prefix("autodiff<").and_then(|name| name.strip_suffix('>')).unwrap_or(&name);
            return Err(Error::ComputePrecision { precision: precision.name(), backend: backend.to_owned() });
        }
        self.set_compute_precision(precision);
        Ok(self)
    }
}
