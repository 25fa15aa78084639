//! Model directories that are damaged, or lie: ten thousand of them, and each is a model or an error, never a
//! panic and never an allocation that the files do not justify.

use std::path::Path;

use burn_ndarray::NdArray;
use kiln_model::{Dtype, Error, GptConfig, load, save};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// What the smallest model costs beside its weights: modules, error texts, buffers of the test itself.
const OVERHEAD: usize = 1 << 18;

/// One way in which a directory is not what it should be.
#[derive(Clone, Debug)]
enum Damage {
    /// A file ends early.
    Truncated { file: &'static str, kept: f64 },
    /// Bits of a file have flipped.
    Flipped { file: &'static str, bits: Vec<f64> },
    /// A key of `config.json` has another value.
    Config { key: &'static str, value: Value },
    /// The header of the weights gives a tensor other properties than it has.
    Header { tensor: usize, key: &'static str, value: Value },
    /// The weights claim a header of another length.
    HeaderLength(u64),
    /// A weight is no number, or infinite.
    Weight { at: f64, value: f32 },
    /// The weights lie in shards, and the index sends the reader elsewhere.
    Shard(String),
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(|value| json!(value)),
        (0u32..64).prop_map(|shift| json!(1u64 << shift)),
        any::<i32>().prop_map(|value| json!(value)),
        (0u64..9).prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        Just(json!(1e308)),
        Just(Value::Null),
        Just(json!(true)),
        Just(json!("12")),
        Just(json!([3])),
        Just(json!({})),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let file = || prop_oneof![Just(CONFIG), Just(WEIGHTS)];
    const KEYS: &[&str] = &[
        "model_type",
        "vocab_size",
        "n_positions",
        "n_embd",
        "n_layer",
        "n_head",
        "n_inner",
        "activation_function",
        "layer_norm_epsilon",
        "initializer_range",
        "resid_pdrop",
        "tie_word_embeddings",
        "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx",
        "add_cross_attention",
        "bias",
    ];
    const NAMES: &[&str] =
        &["model.safetensors", "../outside.safetensors", "/etc/passwd", INDEX, ".", "..", "", "a/b", CONFIG];
    prop_oneof![
        (file(), 0.0..1.0).prop_map(|(file, kept)| Damage::Truncated { file, kept }),
        (file(), prop::collection::vec(0.0..1.0, 1..8))
            .prop_map(|(file, bits)| Damage::Flipped { file, bits }),
        // The first hundredth of the weights is where the header begins.
        prop::collection::vec(0.0..0.01, 1..4).prop_map(|bits| Damage::Flipped { file: WEIGHTS, bits }),
        (prop::sample::select(KEYS), number()).prop_map(|(key, value)| Damage::Config { key, value }),
        (
            any::<usize>(),
            prop_oneof![Just("shape"), Just("data_offsets")],
            prop::collection::vec(number(), 0..4)
        )
            .prop_map(|(tensor, key, values)| Damage::Header {
                tensor,
                key,
                value: Value::Array(values)
            }),
        (any::<usize>(), prop::sample::select(&["F64", "I8", "BOOL", "BF16", "F16", "F4", "x"][..]))
            .prop_map(|(tensor, dtype)| Damage::Header { tensor, key: "dtype", value: json!(dtype) }),
        any::<u64>().prop_map(Damage::HeaderLength),
        (0u64..200).prop_map(Damage::HeaderLength),
        (0.0..1.0, prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)])
            .prop_map(|(at, value)| Damage::Weight { at, value }),
        prop::sample::select(NAMES).prop_map(|name| Damage::Shard(name.to_owned())),
        "\\PC{0,12}".prop_map(Damage::Shard),
    ]
}

/// A share of `len`, as an index.
fn index(share: f64, len: usize) -> usize {
    ((len as f64 * share) as usize).min(len.saturating_sub(1))
}

/// Length of a safetensors file's header, which its first eight bytes give.
fn header_end(weights: &[u8]) -> usize {
    8 + u64::from_le_bytes(weights[..8].try_into().expect("eight bytes")) as usize
}

/// A safetensors file with another header.
fn with_header(weights: &[u8], change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
    let end = header_end(weights);
    let mut header: Map<String, Value> = serde_json::from_slice(&weights[8..end]).expect("just written");
    change(&mut header);
    let header = Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &weights[end..]].concat()
}

/// Files of other programs have no checksum.
fn without_checksum(directory: &Path) {
    let path = directory.join(WEIGHTS);
    let weights = std::fs::read(&path).expect("readable");
    let changed = with_header(&weights, |header| {
        header.remove("__metadata__").expect("it has a checksum");
    });
    std::fs::write(path, changed).expect("writable");
}

fn inflict(directory: &Path, damage: &Damage) {
    let read = |file: &str| std::fs::read(directory.join(file)).expect("readable");
    let write = |file: &str, bytes: &[u8]| std::fs::write(directory.join(file), bytes).expect("writable");
    match damage {
        Damage::Truncated { file, kept } => {
            let bytes = read(file);
            write(file, &bytes[..index(*kept, bytes.len())]);
        }
        Damage::Flipped { file, bits } => {
            let mut bytes = read(file);
            for bit in bits {
                let bit = index(*bit, bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            write(file, &bytes);
        }
        Damage::Config { key, value } => {
            let mut config: Value = serde_json::from_slice(&read(CONFIG)).expect("just written");
            config[*key] = value.clone();
            write(CONFIG, config.to_string().as_bytes());
        }
        Damage::Header { tensor, key, value } => {
            let changed = with_header(&read(WEIGHTS), |tensors| {
                let tensor = tensor % tensors.len();
                if let Some(entry) = tensors.values_mut().nth(tensor).and_then(Value::as_object_mut) {
                    entry.insert((*key).to_owned(), value.clone());
                }
            });
            write(WEIGHTS, &changed);
        }
        Damage::HeaderLength(length) => {
            let mut bytes = read(WEIGHTS);
            bytes[..8].copy_from_slice(&length.to_le_bytes());
            write(WEIGHTS, &bytes);
        }
        Damage::Weight { at, value } => {
            let mut bytes = read(WEIGHTS);
            let data = header_end(&bytes);
            let element = data + index(*at, (bytes.len() - data) / 4) * 4;
            bytes[element..element + 4].copy_from_slice(&value.to_le_bytes());
            write(WEIGHTS, &bytes);
        }
        Damage::Shard(name) => {
            std::fs::rename(directory.join(WEIGHTS), directory.join("shard.safetensors")).expect("writable");
            let index = json!({"weight_map": {"transformer.wte.weight": name, "transformer.wpe.weight": "shard.safetensors"}});
            write(INDEX, index.to_string().as_bytes());
        }
    }
}

#[test]
fn ten_thousand_malformed_directories() {
    let config = GptConfig { vocab_size: 7, context_length: 6, d_ff: 8, ..GptConfig::new(2, 2, 4) };
    let device = Default::default();
    let model = config.init::<NdArray>(1, &device).expect("valid");
    let refused = std::cell::Cell::new(0);
    let cases = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new_with_rng(
        cases,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    )
    .run(&(damage(), any::<bool>()), |(damage, bare)| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        save(&model, directory.path(), Dtype::F32, &Default::default()).expect("writable");
        if bare {
            without_checksum(directory.path());
        }
        inflict(directory.path(), &damage);
        let size: u64 = std::fs::read_dir(directory.path())
            .expect("readable")
            .map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |file| file.len()))
            .sum();

        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        match load::<NdArray>(directory.path(), &device) {
            Ok(model) => prop_assert!(model.config().validate().is_ok()),
            Err(error) => {
                let text = error.to_string();
                prop_assert!(text.contains(&directory.path().display().to_string()), "no path in: {text}");
                let expected = matches!(
                    error,
                    Error::Format { .. } | Error::Io { .. } | Error::NoModel { .. } | Error::Damaged { .. }
                );
                prop_assert!(expected, "{error:?}");
                refused.set(refused.get() + 1);
            }
        }
        let peak = ALLOCATOR.peak_usage().saturating_sub(before);
        prop_assert!(peak <= 2 * size as usize + OVERHEAD, "{peak} bytes for files of {size}");
        Ok(())
    });
    outcome.expect("no case fails");
    // Without a checksum some bits may flip unnoticed: a weight is then another number. Most damage must be seen.
    assert!(refused.get() > 7_000, "only {} of 10,000 were refused", refused.get());
}

#[test]
fn every_flipped_bit_of_a_weight_is_noticed() {
    let config = GptConfig { vocab_size: 3, context_length: 2, d_ff: 2, ..GptConfig::new(1, 1, 2) };
    let device = Default::default();
    let model = config.init::<NdArray>(1, &device).expect("valid");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(WEIGHTS);
    for dtype in [Dtype::F32, Dtype::Bf16] {
        save(&model, directory.path(), dtype, &Default::default()).expect("writable");
        let sound = std::fs::read(&path).expect("readable");
        load::<NdArray>(directory.path(), &device).expect("a sound model");
        for bit in header_end(&sound) * 8..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).expect("writable");
            let refused = load::<NdArray>(directory.path(), &device).expect_err("it is damaged");
            assert!(matches!(&refused, Error::Damaged { path: named, .. } if *named == path), "{refused}");
        }
    }
}
