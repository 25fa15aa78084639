//! Targets that do not count: every backend's loss and gradients beside PyTorch's `cross_entropy(ignore_index=-100)`,
//! whose numbers `tests/reference/masked_loss.py` wrote.

#![recursion_limit = "256"]

use burn::tensor::backend::BackendTypes;
use burn::tensor::{Element, Int, Tensor, TensorData, TensorPrimitive};
use burn_autodiff::Autodiff;
use kiln_model::Backend;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    positions: usize,
    d_model: usize,
    vocab: usize,
    /// `[positions, d_model]`
    hidden: Vec<f64>,
    /// `[vocab, d_model]`
    weight: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// `[positions]`, negative where they are ignored.
    targets: Vec<i64>,
    loss: f64,
    d_hidden: Vec<f64>,
    d_weight: Vec<f64>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/masked_loss.json")).expect("the fixture is whole")
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> <B as BackendTypes>::FloatTensorPrimitive {
    tensor.into_primitive().tensor()
}

fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn loss<B: Backend>(hidden: Tensor<B, 3>, weight: Tensor<B, 2>, targets: &[i64]) -> Tensor<B, 1> {
    let targets = Tensor::<B, 1, Int>::from_data(TensorData::from(targets), &hidden.device());
    let loss = B::head_cross_entropy(primitive(hidden), primitive(weight), targets.into_primitive(), None);
    Tensor::from_primitive(TensorPrimitive::Float(loss))
}

/// Loss without and with gradients, and the gradients of hidden vectors and weight.
fn results<B: Backend>(fixture: &Fixture, targets: &[i64]) -> [Vec<f64>; 4] {
    // The backend's own float type: two types on one device would share that of the first.
    let device = Default::default();
    let options = (&device, <B::FloatElem as Element>::dtype());
    let Fixture { positions, d_model, vocab, hidden, weight, .. } = fixture;
    let hidden = TensorData::new(hidden.clone(), [2, positions / 2, *d_model]);
    let weight = TensorData::new(weight.clone(), [*vocab, *d_model]);
    let forward = loss::<B>(
        Tensor::from_data(hidden.clone(), options),
        Tensor::from_data(weight.clone(), options),
        targets,
    );
    let hidden = Tensor::<Autodiff<B>, 3>::from_data(hidden, options).require_grad();
    let weight = Tensor::<Autodiff<B>, 2>::from_data(weight, options).require_grad();
    let tracked = loss(hidden.clone(), weight.clone(), targets);
    let gradients = tracked.backward();
    let d_hidden = hidden.grad(&gradients).expect("tracked");
    let d_weight = weight.grad(&gradients).expect("tracked");
    [numbers(forward), numbers(tracked), numbers(d_hidden), numbers(d_weight)]
}

fn computes_what_pytorch_does<B: Backend>(tolerance: f64) {
    let fixture = fixture();
    for case in &fixture.cases {
        let ours = results::<B>(&fixture, &case.targets);
        let theirs = [&vec![case.loss], &vec![case.loss], &case.d_hidden, &case.d_weight];
        let names = ["loss", "loss with gradients", "gradient of hidden", "gradient of weight"];
        for ((ours, theirs), what) in ours.iter().zip(theirs).zip(names) {
            assert_eq!(ours.len(), theirs.len(), "{}: {what}", case.name);
            for (ours, theirs) in ours.iter().zip(theirs) {
                let error = (ours - theirs).abs();
                assert!(error <= tolerance, "{}: {what} is {ours}, expected {theirs}", case.name);
            }
        }
    }
    // PyTorch divides zero by zero here.
    let nothing_counts = results::<B>(&fixture, &vec![-1; fixture.positions]);
    assert!(nothing_counts.iter().flatten().all(|number| *number == 0.0), "{nothing_counts:?}");
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_ignores_masked_targets() {
    computes_what_pytorch_does::<burn_ndarray::NdArray>(2e-6);
}

/// In f64 the portable operation runs.
#[cfg(feature = "ndarray")]
#[test]
fn the_portable_operation_ignores_masked_targets() {
    computes_what_pytorch_does::<burn_ndarray::NdArray<f64>>(1e-12);
}

#[cfg(feature = "flex")]
#[test]
fn flex_ignores_masked_targets() {
    computes_what_pytorch_does::<burn_flex::Flex>(2e-6);
}

#[cfg(feature = "tch")]
#[test]
fn libtorch_ignores_masked_targets() {
    computes_what_pytorch_does::<burn_tch::LibTorch>(2e-6);
}

#[cfg(feature = "wgpu")]
#[test]
fn wgpu_ignores_masked_targets() {
    computes_what_pytorch_does::<burn_wgpu::Wgpu>(1e-5);
}
