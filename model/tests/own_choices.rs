//! A model with every choice that no published family has, beside the same formula in f64, written as loops over numbers.

#![cfg(feature = "ndarray")]

use burn::module::Param;
use burn::tensor::{Tensor, backend::Backend as BurnBackend};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{Activation, GptConfig, GptModel, NormKind, token_tensor};

type B = Autodiff<NdArray>;

const TOKENS: [usize; 6] = [3, 1, 4, 1, 5, 9];
const TARGETS: [usize; 6] = [1, 4, 1, 5, 9, 2];

fn config() -> GptConfig {
    GptConfig {
        vocab_size: 11,
        context_length: 8,
        bias: false.into(),
        tied_head: false,
        activation: Activation::Relu2,
        norm: NormKind::RmsNorm,
        embedding_norm: true,
        residual_scalars: true,
        logit_softcap: 1.5,
        init_std: 0.4,
        ..GptConfig::new(2, 2, 8)
    }
}

fn vector<B: BurnBackend>(weight: &Param<Tensor<B, 1>>) -> Vec<f64> {
    weight.val().into_data().iter::<f64>().collect()
}

fn matrix<B: BurnBackend>(weight: &Param<Tensor<B, 2>>) -> Vec<Vec<f64>> {
    let [_, columns] = weight.dims();
    let values: Vec<f64> = weight.val().into_data().iter::<f64>().collect();
    values.chunks(columns).map(<[f64]>::to_vec).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn times(x: &[f64], weight: &[Vec<f64>]) -> Vec<f64> {
    let columns = 0..weight[0].len();
    columns.map(|column| x.iter().zip(weight).map(|(x, row)| x * row[column]).sum()).collect()
}

fn rms(x: &[f64]) -> Vec<f64> {
    let root = (dot(x, x) / x.len() as f64 + 1e-5).sqrt();
    x.iter().map(|x| x / root).collect()
}

fn add(stream: &mut [Vec<f64>], addend: &[Vec<f64>]) {
    for (x, y) in stream.iter_mut().flatten().zip(addend.iter().flatten()) {
        *x += y;
    }
}

/// Heads side by side, each position to itself and those before it.
fn attention(qkv: &[Vec<f64>], n_heads: usize, width: usize) -> Vec<Vec<f64>> {
    let size = width / n_heads;
    let part =
        |position: usize, part: usize, head: usize| &qkv[position][part * width + head * size..][..size];
    let mix = |position: usize, head: usize| {
        let score = |key| dot(part(position, 0, head), part(key, 1, head)) / (size as f64).sqrt();
        let weights: Vec<f64> = (0..=position).map(|key| f64::exp(score(key))).collect();
        let total: f64 = weights.iter().sum();
        (0..size).map(move |feature| {
            let values = weights.iter().enumerate().map(|(key, weight)| weight * part(key, 2, head)[feature]);
            values.sum::<f64>() / total
        })
    };
    (0..qkv.len()).map(|position| (0..n_heads).flat_map(|head| mix(position, head)).collect()).collect()
}

/// The logits of all positions, with these scalars in place of the model's: `λ` and `μ` of each block.
fn logits(model: &GptModel<B>, scalars: &[Vec<f64>; 2]) -> Vec<Vec<f64>> {
    let config = model.config();
    let (tokens, positions) =
        (matrix(&model.wte.weight), matrix(&model.wpe.as_ref().expect("learned").weight));
    let mut stream: Vec<Vec<f64>> = TOKENS.iter().map(|token| rms(&tokens[*token])).collect();
    add(&mut stream, &positions[..TOKENS.len()]);
    let start = stream.clone();
    for (layer, block) in model.h.iter().enumerate() {
        for (x, start) in stream.iter_mut().flatten().zip(start.iter().flatten()) {
            *x = scalars[0][layer] * *x + scalars[1][layer] * start;
        }
        let each = |stream: &[Vec<f64>], of: &dyn Fn(Vec<f64>) -> Vec<f64>| -> Vec<Vec<f64>> {
            stream.iter().map(|x| of(rms(x))).collect()
        };
        let (c_attn, c_proj) = (matrix(&block.attn.c_attn.weight), matrix(&block.attn.c_proj.weight));
        let mixed = attention(&each(&stream, &|x| times(&x, &c_attn)), config.n_heads, config.d_model);
        add(&mut stream, &mixed.iter().map(|mixed| times(mixed, &c_proj)).collect::<Vec<_>>());
        let (c_fc, c_proj) = (matrix(&block.mlp.c_fc.weight), matrix(&block.mlp.c_proj.weight));
        let added = each(&stream, &|x| {
            let hidden: Vec<f64> = times(&x, &c_fc).iter().map(|x| x.max(0.0).powi(2)).collect();
            times(&hidden, &c_proj)
        });
        add(&mut stream, &added);
    }
    let head = matrix(&model.lm_head.as_ref().expect("its own").weight);
    let cap = config.logit_softcap;
    let scores = |x: &Vec<f64>| head.iter().map(|row| cap * (dot(&rms(x), row) / cap).tanh()).collect();
    stream.iter().map(scores).collect()
}

fn loss(model: &GptModel<B>, scalars: &[Vec<f64>; 2]) -> f64 {
    let of = |(logits, target): (Vec<f64>, usize)| {
        logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[target]
    };
    logits(model, scalars).into_iter().zip(TARGETS).map(of).sum::<f64>() / TARGETS.len() as f64
}

fn ids(values: [usize; 6]) -> Tensor<B, 2, burn::tensor::Int> {
    token_tensor(values.map(|id| id as i64).to_vec(), [1, 6], &Default::default())
}

#[test]
fn the_model_is_its_formula() {
    let device = Default::default();
    let mut model: GptModel<B> = config().init(5, &device).expect("valid");
    let new = model.scalars.as_mut().expect("the model has them");
    assert_eq!([vector(&new.residual.weight), vector(&new.embedding.weight)], [[1.0; 2], [0.0; 2]]);
    let scalars = [vec![0.75, 1.25], vec![-0.5, 0.25]];
    let number = |values: &[f64]| Param::from_tensor(Tensor::from_floats(values, &device));
    new.residual.weight = number(&scalars[0]);
    new.embedding.weight = number(&scalars[1]);

    let ours: Vec<f64> = model.forward(ids(TOKENS)).into_data().iter::<f64>().collect();
    let expected = logits(&model, &scalars).concat();
    assert!(expected.iter().any(|logit| logit.abs() > 1.0), "the cap is felt: {expected:?}");
    for (ours, expected) in ours.iter().zip(&expected) {
        assert!((ours - expected).abs() < 1e-5, "{ours} against {expected}");
    }

    let ours = model.loss(ids(TOKENS), ids(TARGETS));
    let gradients = ours.backward();
    let value: f64 = ours.into_data().iter::<f64>().next().expect("one number");
    assert!((value - loss(&model, &scalars)).abs() < 1e-5);
    let learned = model.scalars.as_ref().expect("the model has them");
    for (which, weight) in [&learned.residual.weight, &learned.embedding.weight].into_iter().enumerate() {
        let gradient = weight.val().grad(&gradients).expect("it learns").into_data();
        for (layer, slope) in gradient.iter::<f64>().enumerate() {
            let moved = |step: f64| {
                let mut scalars = scalars.clone();
                scalars[which][layer] += step;
                loss(&model, &scalars)
            };
            let quotient = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            assert!((slope - quotient).abs() < 1e-5, "{slope} against {quotient}");
        }
    }
}
