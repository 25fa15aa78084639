//! GGUF, the file of llama.cpp and the programs around it: one file with numbers, names and vocabulary
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

mod entries;
mod quantised;
mod read;
mod tensors;
mod vocabulary;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use super::Dtype;
use super::collect::collect;
use super::family::Family;
use crate::error::{Error, Result};
use crate::file::replace_file;
use crate::{Backend, GptConfig, GptModel};
use entries::Entries;
pub(super) use quantised::Quantised;
pub(super) use read::{halves_of_pairs, load_config, load_special_tokens, tensors};
pub use read::{is_gguf, load_gguf_vocabulary};
use tensors::GgufTensor;
pub use vocabulary::GgufVocabulary;

/// Writes model and vocabulary into one file that llama.cpp loads as the architecture of the model's family.
///
/// Matrices are stored in `dtype`; vectors and position embeddings always in f32, as llama.cpp expects them.
///
/// # Errors
///
/// [`Error::Gguf`] for what llama.cpp cannot compute: in GPT-2, another activation than the tanh GELU, or
/// attention scores scaled otherwise. [`Error::Io`] if the file cannot be written.
pub fn save_gguf<B: Backend>(
    model: &GptModel<B>,
    file: &Path,
    dtype: Dtype,
    vocabulary: Option<&GgufVocabulary>,
) -> Result<()> {
    let config = model.config();
    let family = Family::of(config);
    check(family, config, vocabulary)?;
    let entries = describe(family, config, dtype, vocabulary);
    let tensors = collect(model, family)?.into_iter().map(|tensor| GgufTensor::new(tensor, dtype));
    let tensors: Vec<GgufTensor> = tensors.collect();
    replace_file(file, |temporary| {
        let output = File::create(temporary).map_err(Error::io(file))?;
        tensors::write(&entries, &tensors, BufWriter::new(output)).map_err(Error::io(file))
    })
}

fn check(family: &Family, config: &GptConfig, vocabulary: Option<&GgufVocabulary>) -> Result<()> {
    if let Some(reason) = (family.gguf_refusal)(config) {
        return Err(Error::Gguf { reason });
    }
    match vocabulary.map(|vocabulary| vocabulary.tokens.len()) {
        Some(tokens) if tokens > config.vocab_size => Err(Error::Gguf {
            reason: format!("the tokenizer has {tokens} tokens, the model {}", config.vocab_size),
        }),
        _ => Ok(()),
    }
}

/// What the file says of the model before it holds its weights.
fn describe(
    family: &Family,
    config: &GptConfig,
    dtype: Dtype,
    vocabulary: Option<&GgufVocabulary>,
) -> Entries {
    let architecture = family.gguf_architecture;
    let mut entries = Entries::default();
    entries.string("general.architecture", architecture);
    entries.string("general.name", "kiln");
    entries.u32(
        "general.file_type",
        match dtype {
            Dtype::F32 => 0,
            Dtype::F16 => 1,
            Dtype::Bf16 => 32,
        },
    );
    let sizes = [
        ("context_length", config.context_length),
        ("embedding_length", config.d_model),
        ("block_count", config.n_layers),
        ("feed_forward_length", config.d_ff),
        ("attention.head_count", config.n_heads),
        ("vocab_size", config.vocab_size),
    ];
    for (key, value) in sizes {
        entries.u32(&format!("{architecture}.{key}"), value as u32);
    }
    entries.f32(&format!("{architecture}.attention.layer_norm_epsilon"), config.norm_epsilon as f32);
    if let Some(vocabulary) = vocabulary {
        vocabulary.describe(config.vocab_size, &mut entries);
    }
    entries
}
