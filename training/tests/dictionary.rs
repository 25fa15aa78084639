//! A dictionary that is known: vectors that are sums of few of its directions, and what is learned from them.

use burn::optim::Optimizer;
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use burn_train::TrainStep;
use kiln_datasets::mix;
use kiln_training::{
    DictionaryConfig, DictionaryModel, Learns, MicroBatches, OptimizerConfig, Vectors, WarmupDecay,
};

type B = Autodiff<NdArray>;

const WIDTH: usize = 64;
const DIRECTIONS: usize = 256;
const ACTIVE: usize = 5;
const BATCH: usize = 1024;
const STEPS: usize = 2500;
/// Features: more than there are directions, as nobody knows how many there are.
const FEATURES: usize = 384;

/// Uniform in `0..1`.
fn uniform(seed: u64, number: u64) -> f64 {
    (mix(seed, number) >> 11) as f64 / (1_u64 << 53) as f64
}

fn unit(mut row: Vec<f32>) -> Vec<f32> {
    let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
    row.iter_mut().for_each(|value| *value /= length);
    row
}

fn planted() -> Vec<Vec<f32>> {
    let number = |direction: usize, place: usize| {
        // A sum of uniform numbers is near enough to a normal one.
        let at = ((direction * WIDTH + place) * 12) as u64;
        ((0..12).map(|index| uniform(1, at + index)).sum::<f64>() - 6.0) as f32
    };
    (0..DIRECTIONS)
        .map(|direction| unit((0..WIDTH).map(|place| number(direction, place)).collect()))
        .collect()
}

/// Vectors of step `step`: each direction is on with the same probability, and then from a half to three halves long.
fn vectors(directions: &[Vec<f32>], step: usize) -> Vectors {
    let mut values = vec![0.0; BATCH * WIDTH];
    for (row, vector) in values.chunks_exact_mut(WIDTH).enumerate() {
        for (index, direction) in directions.iter().enumerate() {
            let at = ((step * BATCH + row) * DIRECTIONS + index) as u64;
            if uniform(2, at) < ACTIVE as f64 / DIRECTIONS as f64 {
                let length = 0.5 + uniform(3, at) as f32;
                vector.iter_mut().zip(direction).for_each(|(sum, value)| *sum += length * value);
            }
        }
    }
    Vectors { values, width: WIDTH }
}

#[test]
fn planted_directions_are_found() {
    let directions = planted();
    let first = vectors(&directions, STEPS);
    let scale = (WIDTH as f64).sqrt() / first.mean_norm();
    let config =
        DictionaryConfig { d_in: WIDTH, d_sae: FEATURES, k: ACTIVE, scale, dead_after: 20_000.0, seed: 7 };
    let mut model = DictionaryModel::<B>::new(config, &first.mean(), &Default::default());
    let recipe = OptimizerConfig { beta2: 0.999, weight_decay: 0.0, ..OptimizerConfig::default() };
    let mut optimizer = recipe.by_role().init::<B, DictionaryModel<B>>();
    let schedule = WarmupDecay::new(3e-3, 0.0, 50, STEPS);
    for step in 0..STEPS {
        let output = TrainStep::step(&model, MicroBatches::from(vec![vectors(&directions, step)]));
        model = optimizer.step(schedule.at(step), model, output.grads);
    }
    let outcome = model.outcome(&first);
    let figures = model.figures(&outcome.sums, BATCH);
    assert!((figures.l0.expect("a figure") - ACTIVE as f64).abs() < 0.01, "{figures:?}");

    let learned = model.unscaled().w_dec;
    let lengths = learned.chunks_exact(WIDTH).map(|row| row.iter().map(|value| value * value).sum::<f32>());
    assert!(lengths.into_iter().all(|length| (length - 1.0).abs() < 1e-5), "a row is not one long");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let best = |direction: &Vec<f32>| {
        learned.chunks_exact(WIDTH).map(|row| dot(row, direction)).fold(f32::NEG_INFINITY, f32::max)
    };
    let mean = directions.iter().map(best).sum::<f32>() / DIRECTIONS as f32;
    assert!(mean >= 0.9, "mean of the largest cosines: {mean}; {figures:?}");
}

/// Where no feature reads anything, the bias alone stands for the vectors: what the loss must be then is known.
#[test]
fn the_loss_is_the_mean_square_and_an_evaluation_counts_nothing() {
    let config = DictionaryConfig { d_in: 2, d_sae: 3, k: 1, scale: 2.0, dead_after: 1.0, seed: 7 };
    let mut model = DictionaryModel::<NdArray>::new(config, &[0.5, 0.0], &Default::default());
    model.w_enc = model.w_enc.map(|weights| weights.zeros_like());
    let batch = Vectors { values: vec![1.0, 0.0, 0.0, 1.0], width: 2 };
    let outcome = model.outcome(&batch);
    // Times 2, and less the bias (1, 0): (1, 0) and (-1, 2).
    let loss: Vec<f32> = outcome.loss.into_data().to_vec().expect("f32");
    assert!((loss[0] - 6.0 / 4.0).abs() < 1e-6, "{loss:?}");
    let figures = model.figures(&outcome.sums, 2);
    assert_eq!((figures.l0, figures.dead_features), (Some(0.0), Some(0.0)));
    // Of the variance of (2, 0) and (0, 2), 4, more than all is left.
    assert!((figures.explained_variance.expect("a figure") - (1.0 - 6.0 / 4.0)).abs() < 1e-6);
    let idle: Tensor<NdArray, 1> = model.idle.value_sync();
    assert_eq!(idle.into_data().to_vec::<f32>().expect("f32"), [0.0; 3]);
}
