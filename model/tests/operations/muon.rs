//! Muon's update, native and portable.

use burn::tensor::{Tensor, TensorPrimitive};
use burn_ndarray::NdArray;
use kiln_model::{Backend, MuonStep};
use proptest::prelude::*;

use super::check::{Reference, TOLERANCE, tensor, values};

/// The new parameter and momentum.
fn run<B: Backend>(inputs: &[Vec<f64>; 3], d_in: usize, step: MuonStep<'_>) -> Vec<f64> {
    let [parameter, gradient, momentum] =
        inputs.each_ref().map(|values| tensor::<B, 2>(values, [d_in, values.len() / d_in]));
    let primitive = |tensor: Tensor<B, 2>| tensor.into_primitive().tensor();
    let updated = B::muon_step(primitive(parameter), primitive(gradient), primitive(momentum), step);
    let tensors = updated.map(|primitive| Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(primitive)));
    tensors.into_iter().flat_map(|tensor| tensor.into_data().iter::<f64>().collect::<Vec<_>>()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn muon(d_in in 1usize..40, parts in prop::collection::vec(1usize..60, 1..4), still: bool, clipped: bool, seed: u64) {
        let count = d_in * parts.iter().sum::<usize>();
        // Without any gradient there is no direction, and nothing but decay.
        let moving = |seed| if still { vec![0.0; count] } else { values(seed, count) };
        let inputs = [values(seed, count), moving(seed ^ 1), moving(seed ^ 2)];
        let gradient_scale = if clipped { 0.3 } else { 1.0 };
        let step = MuonStep { learning_rate: 0.05, momentum: 0.95, weight_decay: 0.1, gradient_scale, parts: &parts };
        let reference = run::<Reference>(&inputs, d_in, step);
        if still {
            prop_assert!(reference.iter().zip(&inputs[0]).all(|(new, old)| (new - old * 0.995).abs() < 1e-9));
        }
        let results = [
            run::<NdArray>(&inputs, d_in, step),
            #[cfg(feature = "flex")]
            run::<burn_flex::Flex>(&inputs, d_in, step),
            #[cfg(feature = "tch")]
            run::<burn_tch::LibTorch>(&inputs, d_in, step),
        ];
        for ours in &results {
            prop_assert_eq!(ours.len(), 2 * count);
            for (ours, reference) in ours.iter().zip(&reference) {
                prop_assert!((ours - reference).abs() <= TOLERANCE * reference.abs().max(1.0), "{ours} against {reference}");
            }
        }
    }
}
