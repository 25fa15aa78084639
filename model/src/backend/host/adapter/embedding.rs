//! Rows of a table.

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{Shape, TensorMetadata, TensorPrimitive};

use super::tensor::buffer;
use crate::backend::host::HostMemory;
use crate::backend::host::kernels::{self, Elements};

pub(in crate::backend) fn embedding<B: HostMemory>(
    weight: FloatTensor<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    gather::<B>(Elements::F32(&B::values(&weight)), weight.shape()[1], ids)
}

pub(in crate::backend) fn narrow_embedding<B: HostMemory>(
    weight: TensorPrimitive<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    let width = weight.shape()[1];
    B::with_narrow(&weight, |weight| gather::<B>(weight, width, ids))
}

fn gather<B: HostMemory>(weight: Elements, width: usize, ids: IntTensor<B>) -> FloatTensor<B> {
    let [batch, seq] = [0, 1].map(|axis| ids.shape()[axis]);
    let mut output = buffer(batch * seq * width);
    kernels::embedding_forward(weight, width, &B::integers(ids), &mut output);
    B::tensor(output, Shape::new([batch, seq, width]))
}

pub(in crate::backend) fn embedding_backward<B: HostMemory>(
    weight: FloatTensor<B>,
    ids: IntTensor<B>,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let shape = weight.shape();
    let mut d_weight = vec![0.0; shape.num_elements()];
    kernels::embedding_backward(&B::values(&gradient), shape[1], &B::integers(ids), &mut d_weight);
    B::tensor(d_weight, shape)
}
