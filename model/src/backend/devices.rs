//! The Burn backends that Kiln is built for, each behind the Cargo feature of its name.

#![allow(unused_imports, reason = "a build may enable any subset of the backends, even none")]

use burn::tensor::TensorPrimitive;
use burn::tensor::ops::{FloatTensor, IntTensor, ModuleOps};

#[cfg(feature = "host")]
use super::host;
#[cfg(feature = "tch")]
use super::libtorch;
use super::{AdamWStep, Backend, HeadGradients, LayerNormGradients, LinearGradients, Saved, portable};
use crate::Activation;
use crate::precision::{Channels, Precision};

/// Overrides every operation by its host kernel, for tensors that the kernels can take.
#[cfg(any(feature = "ndarray", feature = "flex"))]
macro_rules! host_kernels {
    () => {
        host_kernels! {
            fn dropout_forward(
                input: FloatTensor<Self>, probability: f64
            ) -> (FloatTensor<Self>, Saved<Self>);
            fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self>;
            fn layer_norm_forward(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Option<FloatTensor<Self>>, epsilon: f64
            ) -> (FloatTensor<Self>, Saved<Self>);
            fn linear(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Option<FloatTensor<Self>>,
                activation: Option<Activation>
            ) -> FloatTensor<Self>;
            fn linear_forward(
                input: FloatTensor<Self>, weight: FloatTensor<Self>, bias: Option<FloatTensor<Self>>,
                activation: Option<Activation>
            ) -> (FloatTensor<Self>, Saved<Self>);
            fn causal_attention_forward(
                qkv: FloatTensor<Self>, n_heads: usize, scale: f64, dropout: f64
            ) -> (FloatTensor<Self>, Saved<Self>);
            fn cached_attention(
                query: FloatTensor<Self>, keys: FloatTensor<Self>, values: FloatTensor<Self>, filled: usize, scale: f64
            ) -> FloatTensor<Self>;
            fn head(hidden: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
            fn head_cross_entropy(
                hidden: FloatTensor<Self>, weight: FloatTensor<Self>, targets: IntTensor<Self>
            ) -> FloatTensor<Self>;
            fn head_cross_entropy_with_gradients(
                hidden: FloatTensor<Self>, weight: FloatTensor<Self>, targets: IntTensor<Self>
            ) -> HeadGradients<Self>;
            fn adamw_step(
                parameter: FloatTensor<Self>, gradient: FloatTensor<Self>, first_moment: FloatTensor<Self>,
                second_moment: FloatTensor<Self>, step: AdamWStep
            ) -> [FloatTensor<Self>; 3];
        }

        fn embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
            if host::applies::<Self>(&weight) {
                host::embedding::<Self>(weight, ids)
            } else {
                <Self as ModuleOps<Self>>::embedding(weight, ids)
            }
        }

        fn embedding_backward(
            weight: FloatTensor<Self>,
            ids: IntTensor<Self>,
            gradient: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            if host::applies::<Self>(&gradient) {
                host::embedding_backward::<Self>(weight, ids, gradient)
            } else {
                <Self as ModuleOps<Self>>::embedding_backward(weight, gradient, ids)
            }
        }

        fn dropout_backward(
            saved: Saved<Self>,
            probability: f64,
            gradient: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            if host::applies::<Self>(&gradient) {
                host::dropout_backward::<Self>(saved, probability, gradient)
            } else {
                portable::dropout_backward::<Self>(saved, probability, gradient)
            }
        }

        fn for_inference(
            weight: FloatTensor<Self>,
            channels: Channels,
            precision: Precision,
        ) -> Option<TensorPrimitive<Self>> {
            if host::applies::<Self>(&weight) {
                Some(host::for_inference::<Self>(weight, channels, precision))
            } else {
                (precision == Precision::F32).then_some(TensorPrimitive::Float(weight))
            }
        }

        fn narrow_embedding(weight: TensorPrimitive<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
            host::narrow_embedding::<Self>(weight, ids)
        }

        fn narrow_linear(
            input: FloatTensor<Self>,
            weight: TensorPrimitive<Self>,
            bias: Option<FloatTensor<Self>>,
            activation: Option<Activation>,
        ) -> FloatTensor<Self> {
            host::narrow_linear::<Self>(input, weight, bias, activation)
        }

        fn narrow_head(hidden: FloatTensor<Self>, weight: TensorPrimitive<Self>) -> FloatTensor<Self> {
            host::narrow_head::<Self>(hidden, weight)
        }

        fn narrow_head_cross_entropy(
            hidden: FloatTensor<Self>,
            weight: TensorPrimitive<Self>,
            targets: IntTensor<Self>,
        ) -> FloatTensor<Self> {
            host::narrow_head_cross_entropy::<Self>(hidden, weight, targets)
        }

        // The gradient tells which of the two forward passes ran: it has the dtype of what was saved.
        fn layer_norm_backward(
            saved: Saved<Self>,
            weight: FloatTensor<Self>,
            has_bias: bool,
            gradient: FloatTensor<Self>,
        ) -> LayerNormGradients<Self> {
            if host::applies::<Self>(&gradient) {
                host::layer_norm_backward::<Self>(saved, weight, has_bias, gradient)
            } else {
                portable::layer_norm_backward::<Self>(saved, weight, has_bias, gradient)
            }
        }

        fn linear_backward(
            saved: Saved<Self>,
            weight: FloatTensor<Self>,
            has_bias: bool,
            activation: Option<Activation>,
            gradient: FloatTensor<Self>,
        ) -> LinearGradients<Self> {
            if host::applies::<Self>(&gradient) {
                host::linear_backward::<Self>(saved, weight, has_bias, activation, gradient)
            } else {
                portable::linear_backward::<Self>(saved, weight, has_bias, activation, gradient)
            }
        }

        fn causal_attention_backward(
            saved: Saved<Self>,
            n_heads: usize,
            scale: f64,
            dropout: f64,
            gradient: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            if host::applies::<Self>(&gradient) {
                host::causal_attention_backward::<Self>(saved, n_heads, scale, dropout, gradient)
            } else {
                portable::causal_attention_backward::<Self>(saved, n_heads, scale, dropout, gradient)
            }
        }
    };
    ($(fn $name:ident($first:ident: $first_type:ty $(, $argument:ident: $type:ty)*) -> $output:ty;)+) => {
        $(fn $name($first: $first_type $(, $argument: $type)*) -> $output {
            if host::applies::<Self>(&$first) {
                host::$name::<Self>($first $(, $argument)*)
            } else {
                portable::$name::<Self>($first $(, $argument)*)
            }
        })+
    };
}

#[cfg(feature = "ndarray")]
impl<E: burn_ndarray::FloatNdArrayElement, I: burn_ndarray::IntNdArrayElement> Backend
    for burn_ndarray::NdArray<E, I>
where
    burn_ndarray::NdArrayTensor: From<burn_ndarray::SharedArray<E>> + From<burn_ndarray::SharedArray<I>>,
{
    host_kernels!();
}

#[cfg(feature = "flex")]
impl Backend for burn_flex::Flex {
    host_kernels!();
}

#[cfg(feature = "tch")]
impl<E: burn_tch::TchElement> Backend for burn_tch::LibTorch<E> {
    fn layer_norm_forward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, Saved<Self>) {
        libtorch::layer_norm_forward(input, weight, bias, epsilon)
    }

    fn layer_norm_backward(
        saved: Saved<Self>,
        weight: FloatTensor<Self>,
        has_bias: bool,
        gradient: FloatTensor<Self>,
    ) -> LayerNormGradients<Self> {
        libtorch::layer_norm_backward(saved, weight, has_bias, gradient)
    }

    fn linear_forward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        activation: Option<Activation>,
    ) -> (FloatTensor<Self>, Saved<Self>) {
        libtorch::linear_forward(input, weight, bias, activation)
    }

    fn linear_backward(
        saved: Saved<Self>,
        weight: FloatTensor<Self>,
        has_bias: bool,
        activation: Option<Activation>,
        gradient: FloatTensor<Self>,
    ) -> LinearGradients<Self> {
        libtorch::linear_backward(saved, weight, has_bias, activation, gradient)
    }

    fn causal_attention_forward(
        qkv: FloatTensor<Self>,
        n_heads: usize,
        scale: f64,
        dropout: f64,
    ) -> (FloatTensor<Self>, Saved<Self>) {
        libtorch::causal_attention_forward::<Self>(qkv, n_heads, scale, dropout)
    }

    fn causal_attention_backward(
        saved: Saved<Self>,
        n_heads: usize,
        scale: f64,
        dropout: f64,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        libtorch::causal_attention_backward::<Self>(saved, n_heads, scale, dropout, gradient)
    }

    fn cached_attention(
        query: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        filled: usize,
        scale: f64,
    ) -> FloatTensor<Self> {
        libtorch::cached_attention::<Self>(query, keys, values, filled, scale)
    }

    fn head(hidden: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        libtorch::head(hidden, weight)
    }

    fn head_cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        libtorch::head_cross_entropy(hidden, weight, targets)
    }

    fn head_cross_entropy_with_gradients(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> HeadGradients<Self> {
        libtorch::head_cross_entropy_with_gradients(hidden, weight, targets)
    }

    fn sum_of_squares(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        libtorch::sum_of_squares(tensor)
    }

    fn adamw_step(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first_moment: FloatTensor<Self>,
        second_moment: FloatTensor<Self>,
        step: AdamWStep,
    ) -> [FloatTensor<Self>; 3] {
        libtorch::adamw_step::<Self>(parameter, gradient, first_moment, second_moment, step)
    }
}

#[cfg(feature = "wgpu")]
impl<F: burn_wgpu::FloatElement, I: burn_wgpu::IntElement, T: burn_wgpu::BoolElement> Backend
    for burn_wgpu::Wgpu<F, I, T>
{
}

#[cfg(feature = "cuda")]
impl Backend for burn_cuda::Cuda {}

#[cfg(feature = "rocm")]
impl Backend for burn_rocm::Rocm {}
