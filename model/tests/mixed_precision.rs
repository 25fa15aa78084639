//! Operations on bf16 beside f32 weights, and a model that trains so: close to f32, and of the promised types.

#![recursion_limit = "256"]
#![cfg_attr(
    not(all(feature = "flex", feature = "tch")),
    allow(dead_code, unused_imports, reason = "each backend runs a part of it")
)]

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::BackendTypes;
use burn::tensor::{DType, Distribution, ElementConversion, Int, Tensor, TensorPrimitive};
use burn_autodiff::Autodiff;
use kiln_model::{
    Activation, AutodiffBackend, Backend, ComputePrecision, Error, GptConfig, GptModel, Heads, token_tensor,
};

type Primitive<B> = <B as BackendTypes>::FloatTensorPrimitive;

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Primitive<B> {
    tensor.into_primitive().tensor()
}

/// `‖a - b‖ / ‖b‖`.
fn relative_error<B: Backend, const D: usize>(ours: Tensor<B, D>, exact: Tensor<B, D>) -> f64 {
    let norm = |tensor: Tensor<B, D>| tensor.square().sum().sqrt().into_scalar().elem::<f64>();
    let exact = exact.cast(DType::F32);
    norm(ours.cast(DType::F32) - exact.clone()) / norm(exact)
}

/// What an operation gives for an input: output, and the gradients of input and weight.
type Results<B> = [Tensor<<B as burn::tensor::backend::AutodiffBackend>::InnerBackend, 3>; 3];

/// Runs `operation` on an input and a weight, and backward from the sum of its squares.
fn results<B: AutodiffBackend>(
    input: Tensor<B::InnerBackend, 3>,
    weight: Tensor<B::InnerBackend, 3>,
    operation: impl Fn(Tensor<B, 3>, Tensor<B, 3>) -> Primitive<B>,
) -> Results<B> {
    let [input, weight] = [input, weight].map(|tensor| Tensor::<B, 3>::from_inner(tensor).require_grad());
    let output =
        Tensor::<B, 3>::from_primitive(TensorPrimitive::Float(operation(input.clone(), weight.clone())));
    let gradients = output.clone().cast(DType::F32).square().sum().backward();
    let gradient = |tensor: Tensor<B, 3>| tensor.grad(&gradients).expect("tracked");
    [output.inner(), gradient(input), gradient(weight)]
}

/// The operation in bf16 beside f32, both on the same rounded input.
fn stays_close<B: AutodiffBackend>(
    what: &str,
    [input, weight]: [[usize; 3]; 2],
    operation: impl Fn(Tensor<B, 3>, Tensor<B, 3>) -> Primitive<B>,
) {
    let device = B::Device::default();
    let random = |shape| {
        Tensor::<B::InnerBackend, 3>::random(shape, Distribution::Uniform(-1.0, 1.0), (&device, DType::F32))
    };
    let (input, weight) = (random(input).cast(DType::BF16), random(weight));
    let exact = results::<B>(input.clone().cast(DType::F32), weight.clone(), &operation);
    let rounded = results::<B>(input, weight, &operation);
    let types = rounded.each_ref().map(|tensor| tensor.dtype());
    let output = if what == "head_cross_entropy" { DType::F32 } else { DType::BF16 };
    assert_eq!(types, [output, DType::BF16, DType::F32], "{what}: output and gradients of input and weight");
    for (ours, (exact, of)) in rounded.into_iter().zip(exact.into_iter().zip(["output", "input", "weight"])) {
        let error = relative_error(ours, exact);
        assert!(error < 0.02, "{what}: {of} is off by {error}");
    }
}

/// The first row or matrix of a weight that was made with three axes.
fn matrix<B: Backend>(weight: Tensor<B, 3>) -> Tensor<B, 2> {
    weight.squeeze_dim(0)
}

fn operations<B: AutodiffBackend>() {
    let device = B::Device::default();
    stays_close::<B>("linear", [[2, 7, 24], [1, 24, 40]], |input, weight| {
        let weight = matrix(weight);
        let bias = weight.clone().narrow(0, 0, 1).squeeze_dim::<1>(0);
        let activation = Some(Activation::GeluTanh);
        <B as Backend>::linear(primitive(input), primitive(weight), Some(primitive(bias)), activation)
    });
    stays_close::<B>("layer_norm", [[2, 7, 24], [1, 1, 24]], |input, weight| {
        let weight = primitive(matrix(weight).squeeze_dim::<1>(0));
        <B as Backend>::layer_norm(primitive(input), weight.clone(), Some(weight), 1e-5)
    });
    let heads = Heads { n_heads: 2, n_kv_heads: 2, head_dim: 8 };
    stays_close::<B>("attention", [[2, 7, 48], [1, 1, 16]], |input, weight| {
        let mixed = <B as Backend>::attention(primitive(input), heads, 0.35, 0.0);
        let weight = primitive(matrix(weight).squeeze_dim::<1>(0));
        <B as Backend>::layer_norm(mixed, weight, None, 1e-5)
    });
    for softcap in [None, Some(3.0)] {
        stays_close::<B>("head_cross_entropy", [[2, 7, 24], [1, 33, 24]], |input, weight| {
            let targets = Tensor::<B, 1, Int>::arange(0..14, &device).into_primitive();
            let loss = B::head_cross_entropy(primitive(input), primitive(matrix(weight)), targets, softcap);
            primitive(Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(loss)).reshape([1, 1, 1]))
        });
    }
}

/// The gradients of a module, as they are compared: one long vector, all of it f32.
struct Gradients<'a>(&'a GradientsParams, Vec<f32>);

impl<B: AutodiffBackend> ModuleVisitor<B> for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<B, D>>) {
        let gradient = self.0.get::<B::InnerBackend, D>(parameter.id).expect("every parameter learns");
        assert_eq!(gradient.dtype(), DType::F32);
        self.1.extend(gradient.into_data().iter::<f32>());
    }
}

fn a_model_learns<B: AutodiffBackend>() {
    let device = B::Device::default();
    let config = GptConfig { vocab_size: 65, context_length: 32, ..GptConfig::new(2, 4, 64) };
    let model: GptModel<B> = config.init(7, &device).expect("a valid configuration");
    let tokens =
        |step| token_tensor((0..64).map(|i| (i * step) % 65).collect::<Vec<i32>>(), [2, 32], &device);
    let results = |model: &GptModel<B>| {
        let loss = model.loss(tokens(7), tokens(11));
        assert_eq!(loss.dtype(), DType::F32);
        let value = loss.clone().into_scalar().elem::<f64>();
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        let mut all = Gradients(&gradients, Vec::new());
        model.visit(&mut all);
        (value, all.1)
    };
    let (exact, exact_gradients) = results(&model);
    let model = model.with_compute_precision(ComputePrecision::Bf16).expect("the backend has bf16");
    let (loss, gradients) = results(&model);
    assert!((loss / exact - 1.0).abs() < 2e-3, "{loss} against {exact}");
    assert_ne!(loss, exact, "nothing was rounded");
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let difference = norm(&mut gradients.iter().zip(&exact_gradients).map(|(a, b)| a - b));
    let error = difference / norm(&mut exact_gradients.iter().copied());
    assert!(error < 0.03, "gradients are off by {error}");
}

fn is_refused<B: Backend>(precision: ComputePrecision) {
    let config = GptConfig { vocab_size: 9, context_length: 4, ..GptConfig::new(1, 1, 8) };
    let model: GptModel<B> = config.init(1, &Default::default()).expect("a valid configuration");
    let refused = model.with_compute_precision(precision);
    assert!(
        matches!(refused, Err(Error::ComputePrecision { precision: name, .. }) if name == precision.name())
    );
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_refuses() {
    is_refused::<burn_ndarray::NdArray>(ComputePrecision::Bf16);
    is_refused::<burn_ndarray::NdArray>(ComputePrecision::Tf32);
}

/// Flex computes with bf16, if slowly: the portable operations run.
#[cfg(feature = "flex")]
#[test]
fn the_portable_operations_stay_close() {
    operations::<Autodiff<burn_flex::Flex>>();
    is_refused::<burn_flex::Flex>(ComputePrecision::Bf16);
}

#[cfg(feature = "tch")]
#[test]
fn libtorch_stays_close() {
    operations::<Autodiff<burn_tch::LibTorch>>();
    a_model_learns::<Autodiff<burn_tch::LibTorch>>();
    is_refused::<burn_tch::LibTorch>(ComputePrecision::Tf32);
}
