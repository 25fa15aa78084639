//! GGUF files that are damaged, or lie: ten thousand of them, or as many as `PROPTEST_CASES` says, and each is a model or an
//! error, never a panic and never an allocation that the file does not justify.

use std::cell::Cell;
use std::path::Path;

use burn_ndarray::NdArray;
use kiln_model::{
    Dtype, Error, GgufVocabulary, GptConfig, Positions, Rotary, RotaryScaling, SpecialTokens, load,
    load_gguf_vocabulary, save_gguf,
};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What the smallest model costs beside its weights: modules, error texts, buffers of the test itself.
const OVERHEAD: usize = 1 << 18;

/// One way in which a file is not what it should be.
#[derive(Clone, Debug)]
enum Damage {
    /// It ends early.
    Truncated(f64),
    /// Bits have flipped.
    Flipped(Vec<f64>),
    /// Bits before the tensors have flipped.
    FlippedHeader(Vec<f64>),
    /// A number before the tensors is another one.
    Number { at: f64, value: u64 },
    /// A type before the tensors, or any number of four bytes, is another one.
    Type { at: f64, value: u32 },
    /// Bytes before the tensors are there twice.
    Repeated { from: f64, to: f64 },
}

/// The whole numbers that a reader may trip over.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0u32..64).prop_map(|shift| 1u64 << shift),
        (0u32..64).prop_map(|shift| u64::MAX >> shift),
        0u64..100
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0.0..1.0).prop_map(Damage::Truncated),
        prop::collection::vec(0.0..1.0, 1..8).prop_map(Damage::Flipped),
        prop::collection::vec(0.0..1.0, 1..4).prop_map(Damage::FlippedHeader),
        (0.0..1.0, number()).prop_map(|(at, value)| Damage::Number { at, value }),
        (0.0..1.0, 0u32..45).prop_map(|(at, value)| Damage::Type { at, value }),
        (0.0..1.0, 0.0..1.0).prop_map(|(from, to)| Damage::Repeated { from, to }),
    ]
}

/// A share of `len`, as an index.
fn index(share: f64, len: usize) -> usize {
    ((len as f64 * share) as usize).min(len.saturating_sub(1))
}

fn inflict(damage: &Damage, bytes: &mut Vec<u8>) {
    let (length, header) = (bytes.len(), header_end(bytes));
    match damage {
        Damage::Truncated(kept) => bytes.truncate(index(*kept, length)),
        Damage::Flipped(bits) => {
            for bit in bits.iter().map(|bit| index(*bit, 8 * length)) {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        Damage::FlippedHeader(bits) => {
            for bit in bits.iter().map(|bit| index(*bit, 8 * header)) {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        Damage::Number { at, value } => put(bytes, index(*at, header), &value.to_le_bytes()),
        Damage::Type { at, value } => put(bytes, index(*at, header), &value.to_le_bytes()),
        Damage::Repeated { from, to } => {
            let (from, to) = (index(*from, header), index(*to, header));
            let piece = bytes[from..(from + 64).min(length)].to_vec();
            bytes.splice(to..to, piece);
        }
    }
}

/// Where the last tensor is described, and so everything that is no weight.
fn header_end(bytes: &[u8]) -> usize {
    let ends = [&b"output_norm.bias"[..], b"rope_freqs.weight"].map(|name| {
        let start = bytes.windows(name.len()).position(|window| window == name);
        start.map(|start| start + name.len() + 24)
    });
    ends.into_iter().flatten().max().expect("the last tensor")
}

/// Replaces the first number from `at` on that looks like one of that width: a small one, in little-endian.
fn put(bytes: &mut [u8], at: usize, number: &[u8]) {
    let is_number =
        |at: &usize| bytes[*at] != 0 && bytes[at + 2..at + number.len()].iter().all(|byte| *byte == 0);
    let at = (at..header_end(bytes)).find(is_number).unwrap_or(at);
    bytes[at..at + number.len()].copy_from_slice(number);
}

/// In halves, its rows are wide enough to be blocks of 32 values by another type.
fn sound_file(path: &Path, dtype: Dtype) {
    let width = if dtype == Dtype::F16 { 32 } else { 4 };
    write_sound(path, dtype, &GptConfig::new(1, 2, width));
}

/// A model with grouped heads, and all that a file can say of its positions.
fn sound_llama(path: &Path) {
    let scaling = RotaryScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context_length: 16,
    };
    let positions = Positions::Rotary(Rotary { theta: 500.0, scaling: Some(scaling) });
    let config = GptConfig { n_kv_heads: Some(1), positions, ..GptConfig::llama(1, 2, 8) };
    write_sound(path, Dtype::F32, &config);
}

fn write_sound(path: &Path, dtype: Dtype, config: &GptConfig) {
    let config = GptConfig { vocab_size: 7, context_length: 6, ..config.clone() };
    let model = config.init::<NdArray>(1, &Default::default()).expect("valid");
    let vocabulary = GgufVocabulary {
        tokens: ["<|end|>", "a", "b", "ab", "Ġ"].map(str::to_owned).to_vec(),
        special: vec![0],
        user_defined: vec![],
        merges: vec!["a b".to_owned()],
        pre_tokenizer: "gpt-2".to_owned(),
        named: vec![("bos", 0), ("eos", 0)],
        add_bos: true,
        chat_template: Some("{{ messages }}".to_owned()),
    };
    save_gguf(&model, path, dtype, Some(&vocabulary)).expect("writable");
}

/// Everything that is read of a file.
fn open(path: &Path) -> Result<(), Error> {
    let model = load::<NdArray>(path, &Default::default())?;
    model.config().validate()?;
    SpecialTokens::of_generation(path)?;
    load_gguf_vocabulary(path).map(drop)
}

#[test]
fn malformed_files_are_models_or_errors() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("model.gguf");
    let writers: [fn(&Path); 3] =
        [|path| sound_file(path, Dtype::F32), |path| sound_file(path, Dtype::F16), sound_llama];
    let sound = writers.map(|write| {
        write(&path);
        open(&path).expect("a sound file");
        std::fs::read(&path).expect("readable")
    });
    let refused = Cell::new(0);
    let count = std::env::var("PROPTEST_CASES").map_or(10_000, |count| count.parse().expect("a number"));
    let cases = Config { cases: count, failure_persistence: None, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome =
        TestRunner::new_with_rng(cases, random).run(&(damage(), 0..writers.len()), |(damage, file)| {
            let mut bytes = sound[file].clone();
            inflict(&damage, &mut bytes);
            std::fs::write(&path, &bytes).expect("writable");
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            if let Err(error) = open(&path) {
                let text = error.to_string();
                prop_assert!(text.contains(&path.display().to_string()), "no path in: {text}");
                let expected =
                    matches!(error, Error::Format { .. } | Error::Io { .. } | Error::Quantisation { .. });
                prop_assert!(expected, "{error:?}");
                refused.set(refused.get() + 1);
            }
            let peak = ALLOCATOR.peak_usage().saturating_sub(before);
            prop_assert!(peak <= 8 * bytes.len() + OVERHEAD, "{peak} bytes for a file of {}", bytes.len());
            Ok(())
        });
    outcome.expect("no case fails");
    // A bit of a weight or of a name that nobody needs may flip unnoticed: the format has no checksum.
    assert!(refused.get() > count / 10 * 4, "only {} of {count} were refused", refused.get());
}

/// The place of the first tensor's description behind its name.
fn first_tensor(bytes: &[u8]) -> usize {
    let name = b"token_embd.weight";
    let start = bytes.windows(name.len()).position(|window| window == name);
    start.expect("it is the first tensor") + name.len()
}

#[test]
fn each_lie_is_told_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("model.gguf");
    sound_file(&path, Dtype::F32);
    let sound = std::fs::read(&path).expect("readable");
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        std::fs::write(&path, &bytes).expect("writable");
        let error = open(&path).expect_err("it is damaged").to_string();
        error.strip_prefix(&format!("{}: ", path.display())).expect("the path first").to_owned()
    };
    let put = |at: usize, value: &'static [u8]| {
        move |bytes: &mut Vec<u8>| bytes[at..at + value.len()].copy_from_slice(value)
    };
    let tensor = first_tensor(&sound);
    let (axes, sizes, kind, offset) = (tensor, tensor + 4, tensor + 20, tensor + 24);
    for (change, words) in [
        (put(0, b"GGML"), "not a GGUF file: it begins with \"GGML\", not with \"GGUF\""),
        (put(4, &[99]), "version 99 of GGUF; expected 2 or 3"),
        (put(4, &[0, 0, 0, 3]), "a big-endian GGUF file; expected a little-endian one"),
        (put(8, &[0xFF; 8]), "it should have 18446744073709551615 tensors, and no model has more than 65536"),
        (put(16, &[0xFF; 8]), "it should have 18446744073709551615 keys, and no model has more than 65536"),
        (put(24, &[0xFF; 8]), "key 1 of 19: 18446744073709551615 bytes should follow byte 32"),
        (put(axes, &[9]), "`token_embd.weight`: it has 9 axes, and tensors have 1 to 4"),
        (put(sizes, &[0xFF; 16]), "multiply to more than 2^64"),
        (put(sizes, &[0]), "`token_embd.weight`: its sizes are [0, 7]: it holds nothing"),
        (put(kind, &[200]), "`token_embd.weight`: its type is 200, which is none of ggml's"),
        (put(kind, &[10]), "`token_embd.weight`: its rows have 4 values, and Q2_K has blocks of 256"),
        (put(kind, &[24]), "`token_embd.weight` is I8; expected F64, F32, F16"),
        (put(offset, &[1]), "`token_embd.weight` starts at 1, which is no multiple of 32"),
        (put(offset, &[0, 0, 0, 0, 0, 1]), "`token_embd.weight` should have 112 bytes from byte"),
        (put(offset, &[0x80]), "`position_embd.weight`"),
    ] {
        let told = refused(&change);
        assert!(told.contains(words), "no {words:?} in: {told}");
    }
}

#[test]
fn a_file_that_ends_early_is_refused_wherever_it_ends() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("model.gguf");
    sound_file(&path, Dtype::F32);
    let sound = std::fs::read(&path).expect("readable");
    // Behind the last tensor there are at most 31 bytes to fill up.
    for length in (0..sound.len() - 31).step_by(7) {
        std::fs::write(&path, &sound[..length]).expect("writable");
        let refused = open(&path).expect_err("it is cut short");
        assert!(matches!(refused, Error::Format { .. }), "{length}: {refused:?}");
    }
}
