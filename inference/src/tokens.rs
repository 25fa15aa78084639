//! Tokens as the model takes them.

use burn::tensor::{Int, Tensor};
use kiln_model::{Backend, GptModel, token_tensor};

use crate::error::{Error, Result};

/// Checks that every token is one of the model's.
pub(crate) fn check_tokens<B: Backend>(model: &GptModel<B>, tokens: &[u32]) -> Result<()> {
    let vocab_size = model.config().vocab_size;
    match tokens.iter().find(|token| **token as usize >= vocab_size) {
        Some(&token) => Err(Error::UnknownToken { token, vocab_size }),
        None => Ok(()),
    }
}

/// One text, `[1, tokens]`, on the model's device.
pub(crate) fn upload<B: Backend>(model: &GptModel<B>, tokens: &[u32]) -> Tensor<B, 2, Int> {
    token_tensor(tokens.to_vec(), [1, tokens.len()], &model.device())
}

/// The numbers of a tensor, on this side of the device.
pub(crate) fn to_vec<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("converted to f32")
}
