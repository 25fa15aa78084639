//! Sequences that lie one behind the other in one row: each as if it were alone, on every backend of the build.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use burn_autodiff::Autodiff;
use kiln_model::{
    Backend, GptConfig, GptModel, NoTap, NormKind, Positions, Rotary, Site, Tap, Watch, token_tensor,
};

/// Watches everything and changes nothing.
struct Everything;

impl<B: Backend> Tap<B> for Everything {
    fn watches(&self) -> Watch {
        Watch::Everything
    }

    fn at<const D: usize>(&mut self, _site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        value
    }
}

/// Learned positions; and rotary ones, with heads that share keys.
fn configs() -> [GptConfig; 2] {
    let gpt2 = GptConfig { vocab_size: 17, context_length: 12, init_std: 0.3, ..GptConfig::new(2, 4, 16) };
    let llama = GptConfig {
        positions: Positions::Rotary(Rotary::default()),
        norm: NormKind::RmsNorm,
        n_kv_heads: Some(2),
        qk_norm: true,
        tied_head: false,
        ..gpt2.clone()
    };
    [gpt2, llama]
}

const SEQUENCES: [&[i32]; 4] = [&[3, 1, 4, 1, 5], &[9], &[2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3], &[8, 4]];
/// What follows; negative where nothing is learned.
const TARGETS: [&[i32]; 4] = [&[-1, -1, 1, 5, 9], &[4], &[-1, 5, 3, -1, 8, 9, 7, 9, 3, 2, 3, 8], &[-1, -1]];

fn lengths() -> Vec<usize> {
    SEQUENCES.iter().map(|sequence| sequence.len()).collect()
}

fn row<B: Backend>(ids: &[&[i32]]) -> Tensor<B, 2, burn::tensor::Int> {
    let ids = ids.concat();
    let length = ids.len();
    token_tensor(ids, [1, length], &Default::default())
}

fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn largest_difference(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).fold(0.0, |largest, (left, right)| (left - right).abs().max(largest))
}

struct Gradients<'a, B: BurnAutodiffBackend>(&'a B::Gradients, Vec<f64>);

impl<B: Backend> ModuleVisitor<Autodiff<B>> for Gradients<'_, Autodiff<B>> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<Autodiff<B>, D>>) {
        self.1.extend(parameter.val().grad(self.0).into_iter().flat_map(numbers));
    }
}

fn gradients<B: Backend>(model: &GptModel<Autodiff<B>>, loss: Tensor<Autodiff<B>, 1>) -> Vec<f64> {
    let all = loss.backward();
    let mut found = Gradients::<Autodiff<B>>(&all, Vec::new());
    model.visit(&mut found);
    found.1
}

/// The loss of all sequences, and its gradients, are the mean over the counted targets of each alone.
fn together_as_alone<B: Backend>() {
    for config in configs() {
        let model: GptModel<Autodiff<B>> = config.init(7, &Default::default()).expect("valid");
        let together = model.loss_of_segments(row(&SEQUENCES), row(&TARGETS), &lengths());
        let counted = |targets: &[i32]| targets.iter().filter(|target| **target >= 0).count() as f64;
        let total: f64 = TARGETS.iter().map(|targets| counted(targets)).sum();
        let alone = SEQUENCES.iter().zip(TARGETS).map(|(sequence, targets)| {
            model.loss(row(&[sequence]), row(&[targets])) * (counted(targets) / total)
        });
        let alone = alone.reduce(|sum, loss| sum + loss).expect("sequences");
        assert!(largest_difference(&numbers(together.clone()), &numbers(alone.clone())) < 1e-5);
        let [together, alone] = [together, alone].map(|loss| gradients(&model, loss));
        assert!(together.iter().any(|gradient| gradient.abs() > 1e-2));
        assert!(largest_difference(&together, &alone) < 1e-5);

        let sums =
            numbers(model.log_probabilities_of_segments(row(&SEQUENCES), &TARGETS.concat(), &lengths()));
        for (index, sum) in sums.iter().enumerate() {
            let loss = numbers(model.loss(row(&[SEQUENCES[index]]), row(&[TARGETS[index]])))[0];
            assert!((sum + loss * counted(TARGETS[index])).abs() < 1e-4, "{sum} and {loss}");
        }
    }
}

/// Another first sequence changes no bit of the others.
fn none_sees_another<B: Backend>() {
    for config in configs() {
        let model: GptModel<B> = config.init(7, &Default::default()).expect("valid");
        let hidden = |first: &[i32]| {
            let sequences = [first, SEQUENCES[1], SEQUENCES[2], SEQUENCES[3]];
            numbers(model.hidden_of_segments(row(&sequences), &lengths(), &mut NoTap))
        };
        let (one, other) = (hidden(SEQUENCES[0]), hidden(&[7, 7, 7, 7, 7]));
        let first = SEQUENCES[0].len() * config.d_model;
        assert_ne!(one[..first], other[..first]);
        assert_eq!(one[first..], other[first..]);
    }
}

/// Step by step, with a mask, as in one operation.
fn formula_as_fused<B: Backend>() {
    for config in configs() {
        let model: GptModel<B> = config.init(7, &Default::default()).expect("valid");
        let fused = numbers(model.hidden_of_segments(row(&SEQUENCES), &lengths(), &mut NoTap));
        let formula = numbers(model.hidden_of_segments(row(&SEQUENCES), &lengths(), &mut Everything));
        assert!(largest_difference(&fused, &formula) < 1e-4);
    }
}

macro_rules! on_every_backend {
    ($($test:ident),+) => {
        $(mod $test {
            #[cfg(feature = "ndarray")]
            #[test]
            fn on_ndarray() {
                super::$test::<burn_ndarray::NdArray>();
            }

            #[cfg(feature = "flex")]
            #[test]
            fn on_flex() {
                super::$test::<burn_flex::Flex>();
            }

            #[cfg(feature = "tch")]
            #[test]
            fn on_libtorch() {
                super::$test::<burn_tch::LibTorch>();
            }
        })+
    };
}

on_every_backend!(together_as_alone, none_sees_another, formula_as_fused);
