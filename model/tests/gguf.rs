//! Models that are written as GGUF files are read back as they were, and what llama.cpp does not compute is refused.

use std::path::{Path, PathBuf};

use burn::tensor::{Int, Tensor, TensorData};
use burn_ndarray::NdArray;
use kiln_model::{
    Activation, Biases, Dtype, Error, GptConfig, GptModel, NormKind, Positions, Rotary, RotaryScaling, load,
    save_gguf,
};

type Model = GptModel<NdArray>;

/// The models that `transformers` made for tests/reference.rs.
fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/fixtures");
    let entries = std::fs::read_dir(folder).expect("the fixtures are committed");
    let mut fixtures: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    fixtures.sort();
    fixtures
}

/// What llama.cpp lacks for one of them.
fn refusal(name: &str) -> Option<&'static str> {
    Some(match name {
        "exact-gelu" => "its GPT-2 has the tanh GELU only, not Gelu",
        "relu" => "its GPT-2 has the tanh GELU only, not Relu",
        "silu" => "its GPT-2 has the tanh GELU only, not Silu",
        "layer-scaled" | "unscaled" => "always divides attention scores by √head_dim",
        "llama-linear" => "its gated feed-forward network has SiLU only, not GeluTanh",
        "qwen3-biases" => "its Qwen 3 adds no biases",
        _ => return None,
    })
}

/// Logits of every token of the vocabulary, which is shorter than the context, one after the other.
fn logits(model: &Model) -> TensorData {
    let length = model.config().context_length.min(model.config().vocab_size);
    let tokens = Tensor::<NdArray, 1, Int>::arange(0..length as i64, &Default::default());
    model.forward(tokens.unsqueeze()).into_data()
}

/// The same model from a file.
fn written_and_read(model: &Model) -> Result<Model, Error> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("model.gguf");
    save_gguf(model, &file, Dtype::F32, None)?;
    Ok(load(&file, &Default::default()).expect("what was written is read"))
}

fn refused(model: &Model, reason: &str) {
    match written_and_read(model) {
        Err(Error::Gguf { reason: told }) => assert!(told.contains(reason), "no {reason:?} in {told:?}"),
        other => panic!("{other:?}, and not {reason:?}"),
    }
}

#[test]
fn models_of_every_family_are_read_back_bit_for_bit() {
    for directory in fixtures() {
        let name = directory.file_name().expect("a name").to_string_lossy().into_owned();
        let model: Model = load(&directory, &Default::default()).expect("transformers saved it");
        if let Some(reason) = refusal(&name) {
            refused(&model, reason);
            continue;
        }
        let read = written_and_read(&model).expect("llama.cpp computes it");
        // Dropout is no matter of the file.
        let config = GptConfig { dropout: model.config().dropout, ..read.config().clone() };
        assert_eq!(config, sized(model.config()), "{name}");
        assert_eq!(logits(&read), logits(&model), "{name}");
    }
}

/// With the widths of heads that a file always says.
fn sized(config: &GptConfig) -> GptConfig {
    let heads = config.heads();
    match config.positions {
        Positions::Learned => config.clone(),
        Positions::Rotary(_) => {
            GptConfig { n_kv_heads: Some(heads.n_kv_heads), head_dim: Some(heads.head_dim), ..config.clone() }
        }
    }
}

/// A small Llama with eight pairs in each head.
fn llama(positions: Positions) -> GptConfig {
    GptConfig { vocab_size: 11, context_length: 32, d_ff: 24, positions, ..GptConfig::llama(1, 2, 32) }
}

fn model(config: &GptConfig) -> Model {
    config.init(1, &Default::default()).expect("valid")
}

const UNUSUAL: RotaryScaling = RotaryScaling::Llama3 {
    factor: 5.5,
    low_freq_factor: 0.5,
    high_freq_factor: 3.0,
    original_context_length: 24,
};

#[test]
fn scaled_positions_are_read_back() {
    let linear = RotaryScaling::Linear { factor: 2.5 };
    for scaling in [None, Some(linear), Some(UNUSUAL)] {
        let config = llama(Positions::Rotary(Rotary { theta: 250.0, scaling }));
        let read = written_and_read(&model(&config)).expect("llama.cpp computes it");
        assert_eq!(*read.config(), sized(&config));
    }
}

#[test]
fn what_llama_cpp_does_not_compute_is_refused() {
    let plain = llama(Positions::Rotary(Rotary::default()));
    let scaled = llama(Positions::Rotary(Rotary { theta: 250.0, scaling: Some(UNUSUAL) }));
    let qwen2 = |config: GptConfig| GptConfig { bias: Biases::QKV, ..config };
    for (config, reason) in [
        (GptConfig { activation: Activation::Relu2, ..plain.clone() }, "SiLU only, not Relu2"),
        (GptConfig { norm: NormKind::LayerNorm, ..plain.clone() }, "this combination of choices"),
        (GptConfig { embedding_norm: true, ..plain.clone() }, "has model.embedding_norm = true"),
        (GptConfig { logit_softcap: 15.0, ..plain.clone() }, "has model.logit_softcap = 15"),
        (GptConfig { residual_scalars: true, ..plain.clone() }, "has model.residual_scalars = true"),
        (GptConfig { head_dim: Some(8), ..qwen2(plain) }, "heads of 32 features together, not of 16"),
        (GptConfig { qk_norm: true, ..scaled.clone() }, "does not stretch rotary positions as Llama 3 does"),
        (qwen2(scaled), "does not stretch rotary positions as Llama 3 does"),
    ] {
        refused(&model(&config), reason);
    }
}
