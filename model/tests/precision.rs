//! Models whose weights are held in fewer bits.

#![cfg(feature = "ndarray")]

use burn::tensor::backend::Backend as BurnBackend;
use burn::tensor::{Int, Tensor};
use burn_ndarray::NdArray;
use kiln_model::{Backend, Error, GptConfig, GptModel, KvCache, Precision};

fn config() -> GptConfig {
    GptConfig { vocab_size: 67, context_length: 24, init_std: 0.2, ..GptConfig::new(2, 2, 32) }
}

fn tokens<B: BurnBackend>() -> Tensor<B, 2, Int> {
    Tensor::from_ints(
        [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 60], [2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 66]],
        &Default::default(),
    )
}

fn logits<B: Backend>(model: &GptModel<B>) -> Vec<f32> {
    model.forward(tokens()).into_data().to_vec().expect("f32")
}

/// Root of the mean squared difference, beside the size of the logits.
fn difference(ours: &[f32], exact: &[f32]) -> f32 {
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>();
    (square(&mut ours.iter().zip(exact).map(|(ours, exact)| ours - exact))
        / square(&mut exact.iter().copied()))
    .sqrt()
}

fn fewer_bits_are_close<B: Backend>() {
    for config in [config(), GptConfig { embedding_norm: true, logit_softcap: 15.0, ..config() }] {
        fewer_bits_of::<B>(&config);
    }
}

fn fewer_bits_of<B: Backend>(config: &GptConfig) {
    let device = Default::default();
    let exact = config.init::<B>(7, &device).expect("valid");
    let wide = logits(&exact);
    // f32 may add up in another order; 8 significant bits round by up to 1/512; 127 steps of a channel's
    // largest weight by up to 1/254 of it.
    for (precision, bound) in [(Precision::F32, 1e-6), (Precision::Bf16, 0.01), (Precision::Int8, 0.03)] {
        let model = exact.clone().with_precision(precision).expect("the host holds all of them");
        let error = difference(&logits(&model), &wide);
        assert!(error <= bound, "{precision:?}: {error}");
        assert!(
            (error > 1e-5) == (precision != Precision::F32),
            "{precision:?} costs something just if it is narrower: {error}"
        );

        // The loss and the cached path read the same weights.
        let loss: f32 = model.loss(tokens(), tokens()).into_data().to_vec().expect("f32")[0];
        let exact_loss: f32 = exact.loss(tokens(), tokens()).into_data().to_vec().expect("f32")[0];
        assert!(
            (loss - exact_loss).abs() <= 0.1 * bound * exact_loss.abs() + 1e-6,
            "{loss} and {exact_loss}"
        );
        let mut cache = KvCache::new(model.config(), 2, &device);
        let [_, length] = tokens::<B>().dims();
        let mut last = model.forward_cached(tokens().narrow(1, 0, 4), &mut cache);
        for position in 4..length {
            last = model.forward_cached(tokens().narrow(1, position, 1), &mut cache);
        }
        let full = model.forward(tokens()).narrow(1, length - 1, 1).reshape([2, 67]);
        let apart = (last - full).abs().max().into_data().iter::<f32>().next().expect("one number");
        assert!(apart < 1e-4, "{precision:?}: the cache changes a logit by {apart}");
    }
}

#[test]
fn fewer_bits_are_close_on_ndarray() {
    fewer_bits_are_close::<NdArray>();
}

#[cfg(feature = "flex")]
#[test]
fn fewer_bits_are_close_on_flex() {
    fewer_bits_are_close::<burn_flex::Flex>();
}

#[test]
fn a_directory_opens_in_fewer_bits_and_is_not_written_from_them() {
    let device = Default::default();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let exact = config().init::<NdArray>(7, &device).expect("valid");
    kiln_model::save(&exact, folder.path(), kiln_model::Dtype::F32, &Default::default()).expect("writable");
    let opened = kiln_model::load_with_precision::<NdArray>(folder.path(), &device, Precision::F32);
    let opened = opened.expect("a model");
    assert!(difference(&logits(&opened), &logits(&exact)) <= 1e-6);
    kiln_model::save(&opened, folder.path(), kiln_model::Dtype::F32, &Default::default())
        .expect("f32 can be saved again");
    for precision in [Precision::Bf16, Precision::Int8] {
        let opened =
            kiln_model::load_with_precision::<NdArray>(folder.path(), &device, precision).expect("a model");
        let converted = exact.clone().with_precision(precision).expect("the host holds all of them");
        assert_eq!(logits(&opened), logits(&converted));
        assert!(matches!(opened.clone().with_precision(Precision::F32), Err(Error::Packed { .. })));
        let refused = kiln_model::save(&opened, folder.path(), kiln_model::Dtype::F32, &Default::default());
        assert!(matches!(refused, Err(Error::Packed { parameter }) if parameter == "wte.weight"));
    }
    assert_eq!(
        logits(&kiln_model::load::<NdArray>(folder.path(), &device).expect("untouched")),
        logits(&exact)
    );
}
