//! Rows of a table: as Burn looks them up.

use burn::tensor::ops::{FloatTensor, IntTensor, ModuleOps};

use super::added;
use crate::backend::Backend;

pub(in crate::backend) fn embedding<B: Backend>(weight: FloatTensor<B>, ids: IntTensor<B>) -> FloatTensor<B> {
    <B as ModuleOps<B>>::embedding(weight, ids)
}

pub(in crate::backend) fn embedding_backward<B: Backend>(
    weight: FloatTensor<B>,
    ids: IntTensor<B>,
    gradient: FloatTensor<B>,
    others: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    added::<B>(<B as ModuleOps<B>>::embedding_backward(weight, gradient, ids), others)
}
