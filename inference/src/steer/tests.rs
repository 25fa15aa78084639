use burn::tensor::{Tensor, TensorData, Tolerance};
use burn_ndarray::NdArray;
use kiln_model::{GptConfig, GptModel, NoTap, Site, token_tensor};

use super::{Action, Intervention, SteeredPositions, Steering, SteeringTap};
use crate::engine::{Engine, EngineOptions, Event};
use crate::error::Error;
use crate::inspect::Recorder;
use crate::{GenerateOptions, Request, Sampling, generate, generate_batch};

type Cpu = NdArray;

const LAYERS: usize = 3;
const WIDTH: usize = 16;

fn config() -> GptConfig {
    GptConfig { vocab_size: 31, context_length: 300, init_std: 0.3, ..GptConfig::new(LAYERS, 2, WIDTH) }
}

fn model() -> GptModel<Cpu> {
    config().init(7, &Default::default()).expect("valid")
}

/// A direction without a pattern.
fn direction(seed: u64) -> Vec<f32> {
    (0..WIDTH as u64).map(|index| (kiln_datasets::mix(seed, index) % 1000) as f32 / 500.0 - 1.0).collect()
}

fn at(layer: usize, action: Action) -> Intervention {
    let positions = SteeredPositions::All;
    Intervention { site: Site::ResidPost(layer), direction: direction(1), action, positions }
}

fn steering(interventions: impl IntoIterator<Item = Intervention>) -> Steering {
    Steering::new(interventions, &config()).expect("possible")
}

fn clamp(value: f32, bias: f32) -> Action {
    Action::Clamp { value, encoder: direction(2), bias, threshold: 0.01 }
}

fn request(length: u64, seed: u64, steering: Steering) -> Request {
    let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
    let options = GenerateOptions { max_tokens: 30, seed, sampling, steering, ..Default::default() };
    Request { prompt: (0..length).map(|index| (kiln_datasets::mix(3, index) % 31) as u32).collect(), options }
}

fn alone(model: &GptModel<Cpu>, request: &Request) -> Vec<u32> {
    generate(model, request).expect("readable").collect::<Result<_, _>>().expect("finite")
}

/// The stream behind each block, `[layers, seq, d_model]`.
fn streams(model: &GptModel<Cpu>, tap: Option<&mut SteeringTap<Cpu>>) -> Vec<Vec<f32>> {
    let tokens = token_tensor(vec![3, 1, 4, 1, 5], [1, 5], &Default::default());
    let mut plain = Recorder::of((0..LAYERS).map(Site::ResidPost).collect::<Vec<_>>());
    match tap {
        None => drop(model.stream(tokens, None, &mut plain)),
        Some(tap) => {
            // What a block gives out is seen by the next one: the recorder looks at what enters each.
            struct Both<'a>(&'a mut SteeringTap<Cpu>, &'a mut Recorder<Cpu>);
            impl kiln_model::Tap<Cpu> for Both<'_> {
                fn watches(&self) -> kiln_model::Watch {
                    kiln_model::Watch::Stream
                }
                fn at<const D: usize>(&mut self, site: Site, value: Tensor<Cpu, D>) -> Tensor<Cpu, D> {
                    let value = self.0.at(site, value);
                    self.1.at(site, value)
                }
            }
            drop(model.stream(tokens, None, &mut Both(tap, &mut plain)));
        }
    }
    (0..LAYERS).map(|layer| plain.get(Site::ResidPost(layer)).expect("kept").to_vec()).collect()
}

#[test]
fn each_intervention_happens_once_at_each_position_of_its_block() {
    let model = model();
    let before = streams(&model, None);
    let up = steering([at(1, Action::Add { amount: 2.0 })]);
    let after = streams(&model, Some(&mut SteeringTap::new(&up, &Default::default())));
    assert_eq!(before[0], after[0], "the block before it");
    for (position, (before, after)) in before[1].chunks(WIDTH).zip(after[1].chunks(WIDTH)).enumerate() {
        for ((before, after), direction) in before.iter().zip(after).zip(direction(1)) {
            assert!((before + 2.0 * direction - after).abs() < 1e-5, "position {position}");
        }
    }
    assert_ne!(before[2], after[2]);
    // A prompt has no tokens that were generated.
    let later = Intervention { positions: SteeredPositions::Generated, ..at(1, Action::Add { amount: 2.0 }) };
    let after = streams(&model, Some(&mut SteeringTap::new(&steering([later]), &Default::default())));
    assert_eq!(before, after);
}

#[test]
fn a_clamped_feature_has_its_value_and_an_ablated_direction_is_gone_for_good() {
    let model = model();
    let read = |stream: &[f32], encoder: &[f32]| -> Vec<f32> {
        stream.chunks(WIDTH).map(|row| row.iter().zip(encoder).map(|(a, b)| a * b).sum()).collect()
    };
    let before = streams(&model, None);
    let reads = read(&before[0], &direction(2));
    // So that the feature is on at some positions and off at others.
    let bias = -reads.iter().sum::<f32>() / reads.len() as f32;
    let set = steering([at(0, clamp(1.5, bias))]);
    let after = streams(&model, Some(&mut SteeringTap::new(&set, &Default::default())));
    let features = reads.into_iter().map(|read| read + bias);
    let features: Vec<f32> = features.map(|read| if read > 0.01 { read } else { 0.0 }).collect();
    assert!(features.iter().any(|feature| *feature > 0.0) && features.contains(&0.0), "{features:?}");
    let rows = before[0].chunks(WIDTH).zip(after[0].chunks(WIDTH)).zip(&features);
    for ((before, after), feature) in rows {
        for ((before, after), direction) in before.iter().zip(after).zip(direction(1)) {
            assert!((before + (1.5 - feature) * direction - after).abs() < 1e-5);
        }
    }

    // The same, only where the feature is on.
    let active = Intervention { positions: SteeredPositions::Active, ..at(0, clamp(1.5, bias)) };
    let gated = streams(&model, Some(&mut SteeringTap::new(&steering([active]), &Default::default())));
    for (position, feature) in features.iter().enumerate() {
        let row = |streams: &[Vec<f32>]| streams[0][position * WIDTH..][..WIDTH].to_vec();
        assert_eq!(row(&gated), if *feature > 0.0 { row(&after) } else { row(&before) });
    }

    let once = steering([at(0, Action::Ablate)]);
    let twice = steering([at(0, Action::Ablate), at(0, Action::Ablate)]);
    let [once, twice] = [once, twice]
        .map(|steering| streams(&model, Some(&mut SteeringTap::new(&steering, &Default::default()))));
    assert!(read(&once[0], &direction(1)).iter().all(|held| held.abs() < 1e-5));
    let data = |streams: &[f32]| TensorData::new(streams.to_vec(), [5, WIDTH]);
    data(&once[0]).assert_approx_eq::<f32>(&data(&twice[0]), Tolerance::absolute(1e-6));
}

#[test]
fn strength_zero_changes_no_bit() {
    let none = steering([at(0, Action::Add { amount: 0.0 })]);
    assert!(none.is_empty());
    let model = model();
    assert_eq!(alone(&model, &request(70, 1, none)), alone(&model, &request(70, 1, Steering::default())));
    let tokens = || token_tensor(vec![3, 1, 4], [1, 3], &Default::default());
    let mut tap = SteeringTap::new(&Steering::default(), &Default::default());
    let steered = model.forward_tapped(tokens(), None, &mut tap).into_data();
    assert_eq!(steered, model.forward_tapped(tokens(), None, &mut NoTap).into_data());
}

#[test]
fn a_text_is_steered_with_a_cache_as_without_and_beside_others_as_alone() {
    let model = model();
    let generated = |layer| Intervention {
        positions: SteeredPositions::Generated,
        ..at(layer, Action::Add { amount: 1.0 })
    };
    let kinds = [
        steering([at(0, Action::Add { amount: 1.0 })]),
        Steering::default(),
        steering([at(1, clamp(2.0, 0.1)), at(2, Action::Ablate)]),
        steering([generated(0)]),
        steering([at(0, Action::Add { amount: -1.0 }), generated(1)]),
    ];
    let requests: Vec<Request> =
        kinds.iter().zip(0..).map(|(kind, seed)| request(100, seed, kind.clone())).collect();
    let expected: Vec<Vec<u32>> = requests.iter().map(|request| alone(&model, request)).collect();
    for (request, expected) in requests.iter().zip(&expected) {
        let mut uncached = request.clone();
        uncached.options.kv_cache = false;
        assert_eq!(&alone(&model, &uncached), expected);
    }
    let together = generate_batch(&model, &requests, |_, _| true).expect("readable");
    let together: Vec<Vec<u32>> = together.into_iter().map(|text| text.tokens).collect();
    assert_eq!(together, expected);
    // The same seed, so only the steering makes them different.
    let [up, plain] = [&kinds[0], &kinds[1]].map(|kind| alone(&model, &request(100, 9, kind.clone())));
    assert_ne!(up, plain);
}

/// Tokens of a request that others had read, and its text.
fn run(model: &GptModel<Cpu>, requests: &[Request], slots: usize) -> Vec<(usize, Vec<u32>)> {
    let mut engine = Engine::new(model, EngineOptions::new(slots).keeping(2000));
    let ids: Vec<_> =
        requests.iter().map(|request| engine.admit(request.clone()).expect("readable")).collect();
    let mut texts = vec![(0, Vec::new()); requests.len()];
    while !engine.is_idle() {
        for event in engine.step() {
            let text = ids.iter().position(|id| *id == event.id()).expect("one of them");
            match event {
                Event::Read { cached, .. } => texts[text].0 = cached,
                Event::Token { token, .. } => texts[text].1.push(token),
                _ => {}
            }
        }
    }
    texts
}

#[test]
fn what_was_read_under_one_steering_serves_no_other() {
    let model = model();
    let up = || steering([at(0, Action::Add { amount: 1.0 })]);
    let later = Intervention { positions: SteeredPositions::Generated, ..at(0, Action::Ablate) };
    let kinds = [
        (Steering::default(), 0),
        (up(), 0),
        (up(), 130),
        (steering([at(0, Action::Add { amount: 1.1 })]), 0),
        // Its prompt is read as without any steering.
        (steering([later]), 130),
        (Steering::default(), 130),
    ];
    let requests: Vec<Request> = kinds.iter().map(|(kind, _)| request(130, 5, kind.clone())).collect();
    for slots in [1, 6] {
        let texts = run(&model, &requests, slots);
        for ((text, request), (_, cached)) in texts.iter().zip(&requests).zip(&kinds) {
            assert_eq!(text.0, *cached, "{slots} slots");
            assert_eq!(text.1, alone(&model, request));
        }
    }
}

#[test]
fn steering_that_is_not_possible_is_refused() {
    let possible = at(0, Action::Add { amount: 1.0 });
    for (wrong, told) in [
        (Intervention { site: Site::ResidPost(LAYERS), ..possible.clone() }, "3 blocks"),
        (Intervention { site: Site::Pattern(0), ..possible.clone() }, "only the residual stream"),
        (Intervention { direction: vec![1.0; 3], ..possible.clone() }, "3 numbers; the stream is 16 wide"),
        (Intervention { direction: vec![f32::NAN; WIDTH], ..possible.clone() }, "NaN is not finite"),
        (at(0, Action::Add { amount: f32::INFINITY }), "inf is not finite"),
        (
            Intervention { positions: SteeredPositions::Active, ..possible.clone() },
            "only a feature that is clamped",
        ),
    ] {
        let error = Steering::new([wrong], &config()).expect_err("impossible");
        assert!(matches!(&error, Error::Steering { .. }));
        assert!(error.to_string().contains(told), "{error}");
    }
}
