//! Sparse autoencoders: their formulas, one feature without the others, and their files.

#![cfg(feature = "ndarray")]

use std::path::Path;

use burn::tensor::Tensor;
use burn_ndarray::NdArray;
use kiln_model::{
    GptConfig, SaeActivation, SaeConfig, SaeStatistics, SaeWeights, Site, SparseAutoencoder, Tap, Watch,
    token_tensor,
};

type B = NdArray;

fn config(activation: SaeActivation) -> SaeConfig {
    SaeConfig {
        activation,
        model_name: "runs/tales".to_owned(),
        mean_norm: Some(2.5),
        k: Some(1),
        ..SaeConfig::new(2, 3, Site::ResidPost(1))
    }
}

/// Features along `x`, along `y`, and against `x`.
fn weights() -> SaeWeights {
    SaeWeights {
        w_enc: vec![1.0, 0.0, -1.0, 0.0, 1.0, 0.0],
        b_enc: vec![0.0, 0.5, 0.0],
        w_dec: vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0],
        b_dec: vec![1.0, 2.0],
        threshold: vec![0.5, 1.0, 0.25],
    }
}

fn autoencoder(activation: SaeActivation) -> SparseAutoencoder<B> {
    SparseAutoencoder::new(config(activation), weights(), &Default::default())
}

fn values<const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().to_vec().expect("f32")
}

fn vectors() -> Tensor<B, 2> {
    Tensor::from_floats([[3.0, 2.0], [1.4, 2.6], [0.0, 1.0]], &Default::default())
}

/// By hand: without the decoder's bias the vectors are `(2, 0)`, `(0.4, 0.6)` and `(-1, -1)`.
#[test]
fn features_are_those_of_the_formula() {
    let of = |activation| values(autoencoder(activation).encode(vectors()));
    let near = |found: Vec<f32>, expected: [f32; 9]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} and {expected:?}");
    };
    near(of(SaeActivation::Relu), [2.0, 0.5, 0.0, 0.4, 1.1, 0.0, 0.0, 0.0, 1.0]);
    near(of(SaeActivation::JumpRelu), [2.0, 0.0, 0.0, 0.0, 1.1, 0.0, 0.0, 0.0, 1.0]);
    near(of(SaeActivation::TopK(1)), [2.0, 0.0, 0.0, 0.0, 1.1, 0.0, 0.0, 0.0, 1.0]);
    let sae = autoencoder(SaeActivation::JumpRelu);
    let decoded = values(sae.decode(sae.encode(vectors())));
    assert!(decoded.iter().zip([3.0, 2.0, 1.0, 3.1, 0.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn one_feature_is_that_of_all() {
    let sae = autoencoder(SaeActivation::JumpRelu);
    let all = values(sae.encode(vectors()));
    for number in 0..3 {
        let feature = sae.feature(number).expect("it is there");
        let alone = values(feature.activation(vectors().reshape([1, 3, 2])));
        let column: Vec<f32> = (0..3).map(|row| all[row * 3 + number]).collect();
        assert!(alone.iter().zip(&column).all(|(a, b)| (a - b).abs() < 1e-6), "{alone:?} and {column:?}");
    }
    let none = sae.feature(3).expect_err("there are three").to_string();
    assert_eq!(none, "there is no feature 3: the autoencoder has 3 of them, from 0 on");
    assert!(autoencoder(SaeActivation::TopK(1)).feature(0).is_err());
}

#[test]
fn what_is_saved_is_opened() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let statistics = SaeStatistics { density: vec![0.25, 0.0, 0.001], max_activation: vec![4.0, 0.0, 1.5] };
    for activation in [SaeActivation::Relu, SaeActivation::JumpRelu, SaeActivation::TopK(1)] {
        let mut sae = autoencoder(activation).with_statistics(statistics.clone());
        sae.save(&folder.path().join("model")).expect("writable");
        // A run directory, and the directory itself.
        for path in [folder.path(), &folder.path().join("model")] {
            let opened = SparseAutoencoder::<B>::open(path, &Default::default()).expect("just written");
            if activation != SaeActivation::JumpRelu {
                sae.threshold = sae.threshold.map(|threshold| threshold.zeros_like());
            }
            assert_eq!((opened.config(), opened.weights()), (sae.config(), sae.weights()));
            let measured = opened.statistics().expect("just measured");
            assert_eq!(measured.max_activation, statistics.max_activation);
            assert!(measured.density.iter().zip(&statistics.density).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}

/// The message that opening a directory ends with, once `change` has changed a sound one.
fn refused(change: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory");
    autoencoder(SaeActivation::JumpRelu).save(folder.path()).expect("writable");
    change(folder.path());
    let opened = SparseAutoencoder::<B>::open(folder.path(), &Default::default());
    opened.expect_err("it cannot be read").to_string().replace(&folder.path().display().to_string(), "DIR")
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let replace = |from: &'static str, to: &'static str| {
        refused(move |folder| {
            let path = folder.join("cfg.json");
            let text = std::fs::read_to_string(&path).expect("readable");
            assert!(text.contains(from), "{from} in {text}");
            std::fs::write(path, text.replace(from, to)).expect("writable");
        })
    };
    assert_eq!(
        replace("\"architecture\": \"jumprelu\"", "\"architecture\": \"gated\""),
        "DIR/cfg.json: architecture = \"gated\": an autoencoder that is neither standard, jumprelu nor topk cannot be read"
    );
    assert_eq!(
        replace("\"normalize_activations\": \"none\"", "\"normalize_activations\": \"layer_norm\""),
        "DIR/cfg.json: normalize_activations = \"layer_norm\": an autoencoder that scales what it reads cannot be read"
    );
    assert_eq!(replace("\"d_sae\": 3", "\"d_sae\": 0"), "DIR/cfg.json: d_sae = 0: must be at least 1");
    assert!(replace("hook_resid_post", "hook_resid_pots").contains("blocks.1.hook_resid_pots"));
    let shapes = replace("\"d_sae\": 3", "\"d_sae\": 4");
    assert!(shapes.starts_with("DIR/sae_weights.safetensors: `W_enc` has shape [2, 3], expected [2, 4]"));
    let left_over = replace("\"architecture\": \"jumprelu\"", "\"architecture\": \"standard\"");
    assert!(left_over.ends_with("`threshold` is nothing of such an autoencoder"), "{left_over}");
    let gone = refused(|folder| std::fs::remove_file(folder.join("cfg.json")).expect("it is there"));
    assert_eq!(gone, "DIR: no sparse autoencoder here (there is no `cfg.json`)");
    let damaged = refused(|folder| {
        let path = folder.join("sae_weights.safetensors");
        let mut bytes = std::fs::read(&path).expect("readable");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(path, bytes).expect("writable");
    });
    assert!(damaged.contains("the file is damaged"), "{damaged}");
}

struct Remember(Vec<(Site, Vec<f32>)>);

impl Tap<B> for Remember {
    fn watches(&self) -> Watch {
        Watch::Stream
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        self.0.push((site, values(value.clone())));
        value
    }
}

#[test]
fn a_value_on_the_way_is_that_of_the_whole_pass() {
    let config = GptConfig { vocab_size: 11, context_length: 6, ..GptConfig::new(3, 2, 8) };
    let model = config.init::<B>(7, &Default::default()).expect("valid");
    let tokens = || token_tensor(vec![1, 5, 2, 9, 3, 3, 7, 0], [2, 4], &Default::default());
    let mut whole = Remember(Vec::new());
    model.forward_tapped(tokens(), None, &mut whole);
    let mut compared = 0;
    for (site, expected) in whole.0.iter().filter(|(site, _)| *site != Site::PosEmbed) {
        if site.is_on_stream() {
            assert_eq!(&values(model.value_at(tokens(), *site)), expected, "{site}");
            compared += 1;
        }
    }
    assert_eq!(compared, 1 + 3 * 5);
}
