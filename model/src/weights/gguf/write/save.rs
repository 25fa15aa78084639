//! A model as one file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use super::entries::Entries;
use super::rotary;
use super::tensors::{self, GgufTensor};
use crate::error::{Error, Result};
use crate::file::replace_file;
use crate::weights::collect::collect;
use crate::weights::family::Family;
use crate::weights::gguf::GgufVocabulary;
use crate::weights::gguf::architecture::Architecture;
use crate::weights::{Dtype, SpecialTokens, config_file};
use crate::{Backend, GptConfig, GptModel, Positions};

/// Writes model and vocabulary into one file that llama.cpp loads as the architecture of the model's family.
///
/// Matrices are stored in `dtype`; vectors and position embeddings always in f32, as llama.cpp expects them.
///
/// # Errors
///
/// [`Error::Gguf`] for what llama.cpp cannot compute: a model that fits no family, another activation than the family's
/// own, in GPT-2 attention scores that are scaled otherwise, in Qwen rotary positions that are stretched as in Llama 3.
/// [`Error::Io`] if the file cannot be written.
pub fn save_gguf<B: Backend>(
    model: &GptModel<B>,
    file: &Path,
    dtype: Dtype,
    vocabulary: Option<&GgufVocabulary>,
) -> Result<()> {
    let config = model.config();
    let architecture = architecture(config, vocabulary)?;
    let entries = describe(architecture, config, dtype, vocabulary);
    let parameters = collect(model, architecture.family)?.into_iter();
    let parameters = parameters.map(|tensor| GgufTensor::parameter(tensor, architecture, config, dtype));
    let tensors: Vec<GgufTensor> = parameters.chain(rotary::divisors(config)).collect();
    replace_file(file, |temporary| {
        let output = File::create(temporary).map_err(Error::io(file))?;
        tensors::write(&entries, &tensors, BufWriter::new(output)).map_err(Error::io(file))
    })
}

/// The architecture that computes such a model.
fn architecture(config: &GptConfig, vocabulary: Option<&GgufVocabulary>) -> Result<&'static Architecture> {
    let refuse = |reason| Err(Error::Gguf { reason });
    let Some(architecture) = Architecture::of_family(Family::of(config)) else {
        let choice =
            config.own_choice().map(|choice| format!("none of its architectures has model.{choice}"));
        let combination = || "none of its architectures computes this combination of choices".to_owned();
        return refuse(choice.unwrap_or_else(combination));
    };
    if let Some(reason) = (architecture.refusal)(config) {
        return refuse(reason);
    }
    match vocabulary.map(|vocabulary| vocabulary.tokens.len()) {
        Some(tokens) if tokens > config.vocab_size => {
            refuse(format!("the tokenizer has {tokens} tokens, the model {}", config.vocab_size))
        }
        _ => Ok(architecture),
    }
}

/// What the file says of the model before it holds its weights.
fn describe(
    architecture: &Architecture,
    config: &GptConfig,
    dtype: Dtype,
    vocabulary: Option<&GgufVocabulary>,
) -> Entries {
    let mut entries = Entries::default();
    entries.string("general.architecture", architecture.name);
    entries.string("general.name", "kiln");
    entries.u32(
        "general.file_type",
        match dtype {
            Dtype::F32 => 0,
            Dtype::F16 => 1,
            Dtype::Bf16 => 32,
        },
    );
    let known = config_file::contents(architecture.family, config, &SpecialTokens::default(), dtype);
    for (theirs, ours) in architecture.sizes {
        let size = known[*ours].as_u64().expect("a size of a valid configuration");
        entries.u32(&architecture.key(theirs), size as u32);
    }
    entries.u32(&architecture.key("vocab_size"), config.vocab_size as u32);
    let (epsilon, _) = architecture.epsilon;
    entries.f32(&architecture.key(epsilon), config.norm_epsilon as f32);
    if let Positions::Rotary(positions) = &config.positions {
        rotary::describe(positions, config.heads(), architecture, &mut entries);
    }
    match vocabulary {
        Some(vocabulary) => vocabulary.describe(config.vocab_size, &mut entries),
        None => entries.string("tokenizer.ggml.model", "none"),
    }
    entries
}
