//! The `config.json` that a GGUF file would have at Hugging Face.

use serde_json::{Map, Value, json};

use super::file::Gguf;
use super::rotary::rotary;
use super::special_tokens;
use crate::error::Result;
use crate::weights::gguf::architecture::Architecture;
use crate::weights::rotary_keys;

/// Keys for what is not computed, without the name of the architecture. Zero is as good as left out.
const UNSUPPORTED: [&str; 12] = [
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.scale",
    "attention.sliding_window",
    "attn_logit_softcapping",
    "decoder_block_count",
    "embedding_scale",
    "expert_count",
    "final_logit_softcapping",
    "logit_scale",
    "nextn_predict_layers",
    "residual_scale",
];

/// The keys that decide what the model computes.
pub(super) fn config_json(gguf: &Gguf<'_>) -> Result<Map<String, Value>> {
    let architecture = Architecture::of(gguf)?;
    refuse_unsupported(gguf, architecture)?;
    let metadata = &gguf.metadata;
    let mut config = Map::new();
    let mut set = |key: &str, value: Value| drop(config.insert(key.to_owned(), value));
    set("architectures", json!([architecture.family.architecture]));
    set("model_type", json!(architecture.family.model_type));
    for (theirs, ours) in architecture.sizes {
        set(ours, json!(metadata.size(&architecture.key(theirs))?));
    }
    let (theirs, ours) = architecture.epsilon;
    let key = architecture.key(theirs);
    set(ours, json!(metadata.number(&key)?.ok_or_else(|| gguf.wrong(metadata.told(&key)))?));
    let (key, activation) = architecture.activation;
    set(key, json!(activation));
    if architecture.rotary {
        let head_dim = head_dim(gguf, architecture)?;
        set("num_key_value_heads", json!(architecture.key_value_heads(gguf)?));
        set("head_dim", json!(head_dim));
        set("rope_parameters", rotary_keys::parameters(&rotary(gguf, architecture, head_dim)?));
    }
    for (switch, tensor) in architecture.switches {
        set(switch, json!(gguf.tensor(tensor).is_some()));
    }
    let embedding = gguf.tensor("token_embd.weight");
    let embedding = embedding.ok_or_else(|| gguf.wrong("`token_embd.weight` is missing"))?;
    set("vocab_size", json!(embedding.shape[0]));
    set("tie_word_embeddings", json!(gguf.tensor("output.weight").is_none()));
    let special_tokens = special_tokens::of(gguf)?;
    for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
        set(key, special_tokens.value(key));
    }
    Ok(config)
}

fn refuse_unsupported(gguf: &Gguf<'_>, architecture: &Architecture) -> Result<()> {
    for key in UNSUPPORTED.map(|key| architecture.key(key)) {
        if gguf.metadata.has(&key) && gguf.metadata.number(&key).ok().flatten() != Some(0.0) {
            return Err(gguf.wrong(format!("{} is not supported", gguf.metadata.told(&key))));
        }
    }
    Ok(())
}

/// Width of a head: `d_model / n_heads`, where the file does not say otherwise. All of it must rotate.
fn head_dim(gguf: &Gguf<'_>, architecture: &Architecture) -> Result<u64> {
    let metadata = &gguf.metadata;
    let (width, heads) = (metadata.size(&architecture.key("embedding_length"))?, architecture.heads(gguf)?);
    let key = architecture.key("attention.key_length");
    let head_dim = match metadata.whole(&key)? {
        Some(length) => length,
        None => width.checked_div(heads).unwrap_or(0),
    };
    for other in ["attention.value_length", "rope.dimension_count"].map(|key| architecture.key(key)) {
        if metadata.whole(&other)?.is_some_and(|length| length != head_dim) {
            let reason =
                format!("{}, and heads of width {head_dim}, is not supported", metadata.told(&other));
            return Err(gguf.wrong(reason));
        }
    }
    Ok(head_dim)
}
