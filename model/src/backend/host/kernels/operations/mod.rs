//! The operations of [`Backend`](crate::Backend) for tensors in this process's memory.

mod activation;
mod adamw;
mod attention;
mod blend;
mod dropout;
mod embedding;
mod gate;
mod head;
mod layer_norm;
mod linear;
mod muon;
mod pack;
mod rms_norm;
mod rotary;
mod scaled;
mod sum_of_squares;
mod tensor;

use super::machine;

#[cfg(feature = "tch")]
pub(in crate::backend) use adamw::update as adamw_update;
#[cfg(feature = "tch")]
pub(in crate::backend) use layer_norm::{LayerNormInputs, backward as layer_norm_gradients};

pub(in crate::backend) use adamw::adamw_step;
pub(in crate::backend) use attention::{attention_backward, attention_forward, cached_attention};
pub(in crate::backend) use blend::{blend, blend_backward};
pub(in crate::backend) use dropout::{dropout_backward, dropout_forward};
pub(in crate::backend) use embedding::{embedding, embedding_backward, packed_embedding};
pub(in crate::backend) use gate::{gate, gate_backward};
pub(in crate::backend) use head::{
    head, head_cross_entropy, head_cross_entropy_with_gradients, packed_head, packed_head_cross_entropy,
};
pub(in crate::backend) use layer_norm::{layer_norm_backward, layer_norm_forward};
pub(in crate::backend) use linear::{linear, linear_backward, linear_forward, packed_linear};
pub(in crate::backend) use muon::muon_step;
pub(in crate::backend) use pack::pack;
pub(in crate::backend) use rms_norm::{rms_norm_backward, rms_norm_forward};
pub(in crate::backend) use rotary::rotary;
pub(in crate::backend) use scaled::scaled;
pub(in crate::backend) use sum_of_squares::sum_of_squares;
pub(in crate::backend) use tensor::applies;

/// The operations that have a kernel, for tensors that it can take. In a backward pass the gradient decides:
/// it has the dtype of what the forward pass saved.
#[cfg(any(feature = "ndarray", feature = "flex"))]
macro_rules! host_operations {
    () => {
        fn set_compute_precision(precision: ComputePrecision, _device: &Self::Device) -> bool {
            precision == ComputePrecision::F32
        }

        delegate! { host;
            fn embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self>, by weight;
            fn embedding_backward(
                weight: FloatTensor<Self>, ids: IntTensor<Self>, gradient: FloatTensor<Self>,
                others: Option<FloatTensor<Self>>
            ) -> FloatTensor<Self>, by gradient;
            fn dropout_forward(
                input: FloatTensor<Self>, probability: f64
            ) -> (FloatTensor<Self>, Saved<Self>), by input;
            fn dropout_backward(
                saved: Saved<Self>, probability: f64, gradient: FloatTensor<Self>
            ) -> FloatTensor<Self>, by gradient;
            fn layer_norm_forward(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Option<FloatTensor<Self>>, epsilon: f64
            ) -> (FloatTensor<Self>, Saved<Self>), by input;
            fn layer_norm_backward(
                saved: Saved<Self>, weight: FloatTensor<Self>, wanted: Wanted, gradient: FloatTensor<Self>,
                others: Option<FloatTensor<Self>>
            ) -> AffineGradients<Self>, by gradient;
            fn rms_norm_forward(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64
            ) -> (FloatTensor<Self>, Saved<Self>), by input;
            fn rms_norm_backward(
                saved: Saved<Self>, weight: FloatTensor<Self>, wanted: Wanted, gradient: FloatTensor<Self>,
                others: Option<FloatTensor<Self>>
            ) -> AffineGradients<Self>, by gradient;
            fn rotary(
                qkv: FloatTensor<Self>, heads: Heads, cos: FloatTensor<Self>, sin: FloatTensor<Self>
            ) -> FloatTensor<Self>, by qkv;
            fn gate(
                gate: FloatTensor<Self>, expanded: FloatTensor<Self>, activation: Activation
            ) -> FloatTensor<Self>, by gate;
            fn gate_backward(
                gate: FloatTensor<Self>, expanded: FloatTensor<Self>, activation: Activation, gradient: FloatTensor<Self>
            ) -> [FloatTensor<Self>; 2], by gradient;
            fn blend(
                inputs: [FloatTensor<Self>; 2], weights: [FloatTensor<Self>; 2]
            ) -> FloatTensor<Self>, by inputs[0];
            fn blend_backward(
                inputs: [FloatTensor<Self>; 2], weights: [FloatTensor<Self>; 2], gradient: FloatTensor<Self>
            ) -> [[FloatTensor<Self>; 2]; 2], by gradient;
            fn linear(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Option<FloatTensor<Self>>,
                activation: Option<Activation>
            ) -> FloatTensor<Self>, by input;
            fn linear_forward(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Option<FloatTensor<Self>>,
                activation: Option<Activation>
            ) -> (FloatTensor<Self>, Saved<Self>), by input;
            fn linear_backward(
                saved: Saved<Self>, weight: FloatTensor<Self>, wanted: Wanted, activation: Option<Activation>,
                gradient: FloatTensor<Self>
            ) -> AffineGradients<Self>, by gradient;
            fn attention_forward(
                qkv: FloatTensor<Self>, heads: Heads, scale: f64, dropout: f64
            ) -> (FloatTensor<Self>, Saved<Self>), by qkv;
            fn attention_backward(
                saved: Saved<Self>, heads: Heads, scale: f64, dropout: f64, gradient: FloatTensor<Self>
            ) -> FloatTensor<Self>, by gradient;
            fn cached_attention(
                query: FloatTensor<Self>, caches: Vec<CachedSequence<Self>>, scale: f64
            ) -> FloatTensor<Self>, by query;
            fn head(
                hidden: FloatTensor<Self>, weight: FloatTensor<Self>, softcap: Option<f64>
            ) -> FloatTensor<Self>, by hidden;
            fn head_cross_entropy(
                hidden: FloatTensor<Self>, weight: FloatTensor<Self>, targets: IntTensor<Self>, softcap: Option<f64>
            ) -> FloatTensor<Self>, by hidden;
            fn head_cross_entropy_with_gradients(
                hidden: FloatTensor<Self>, weight: FloatTensor<Self>, targets: IntTensor<Self>, softcap: Option<f64>,
                wanted: Wanted
            ) -> HeadGradients<Self>, by hidden;
            fn pack(
                weight: FloatTensor<Self>, channels: Channels, precision: Precision
            ) -> Option<PackedWeight<Self>>;
            fn packed_embedding(weight: PackedWeight<Self>, ids: IntTensor<Self>) -> FloatTensor<Self>;
            fn packed_linear(
                input: FloatTensor<Self>, weight: PackedWeight<Self>, bias: Option<FloatTensor<Self>>,
                activation: Option<Activation>
            ) -> FloatTensor<Self>;
            fn packed_head(
                hidden: FloatTensor<Self>, weight: PackedWeight<Self>, softcap: Option<f64>
            ) -> FloatTensor<Self>;
            fn packed_head_cross_entropy(
                hidden: FloatTensor<Self>, weight: PackedWeight<Self>, targets: IntTensor<Self>, softcap: Option<f64>
            ) -> FloatTensor<Self>;
            fn scaled(tensor: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self>, by tensor;
            fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self>, by tensor;
            fn adamw_step(
                parameter: FloatTensor<Self>, gradient: FloatTensor<Self>, first_moment: FloatTensor<Self>,
                second_moment: FloatTensor<Self>, step: AdamWStep
            ) -> [FloatTensor<Self>; 3], by parameter;
            fn muon_step(
                parameter: FloatTensor<Self>, gradient: FloatTensor<Self>, momentum: FloatTensor<Self>, step: MuonStep<'_>
            ) -> [FloatTensor<Self>; 2], by parameter;
        }
    };
}
#[cfg(any(feature = "ndarray", feature = "flex"))]
pub(in crate::backend) use host_operations;
