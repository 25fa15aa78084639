//! Merging an adapter into the model: one matrix instead of three, and the same numbers.

use burn::module::Param;
use burn::tensor::Tensor;

use super::layer::Lora;
use crate::backend::is_packed;
use crate::error::{Error, Result};
use crate::{Backend, GptModel, Linear};

impl<B: Backend> GptModel<B> {
    /// The model with its adapter merged into it, `W + scale · A B`, in f32: it computes the same up to rounding, at the cost
    /// of a model without an adapter. Without one it stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Packed`] if its matrices are held in fewer bits, [`Error::Merge`] if a weight would not be finite.
    pub fn merged(mut self) -> Result<Self> {
        if self.lora().is_none() {
            return Ok(self);
        }
        for (path, linear) in self.linears_mut() {
            if let Some(adapters) = linear.lora.take() {
                linear.merge(&path, &adapters)?;
            }
        }
        Ok(self.without_lora())
    }
}

impl<B: Backend> Linear<B> {
    fn merge(&mut self, path: &str, adapters: &[Lora<B>]) -> Result<()> {
        let mut weight = self.weight.val(); // [d_in, d_out]
        if is_packed(&weight) {
            return Err(Error::Packed { parameter: format!("{path}.weight") });
        }
        for adapter in adapters {
            weight = changed(weight, adapter);
        }
        if let Some(value) = not_finite(weight.clone()) {
            return Err(Error::Merge { layer: path.to_owned(), value });
        }
        self.weight = Param::initialized(self.weight.id, weight.detach().require_grad());
        Ok(())
    }
}

/// The weight with the change of one adapter in its columns.
fn changed<B: Backend>(weight: Tensor<B, 2>, adapter: &Lora<B>) -> Tensor<B, 2> {
    let change = adapter.change();
    let [d_in, d_out] = change.dims();
    let columns = adapter.first_column()..adapter.first_column() + d_out;
    let part = weight.clone().slice([0..d_in, columns.clone()]);
    weight.slice_assign([0..d_in, columns], part + change)
}

/// The first value that is no finite number.
fn not_finite<B: Backend>(weight: Tensor<B, 2>) -> Option<f32> {
    // One infinite or undefined summand makes the sum so, too: only then it is looked for.
    let sum = weight.clone().sum().into_data().iter::<f32>().next();
    if sum.is_some_and(f32::is_finite) {
        return None;
    }
    weight.into_data().iter::<f32>().find(|value| !value.is_finite())
}
