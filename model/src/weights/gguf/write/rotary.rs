//! Heads that rotate.

use super::entries::Entries;
use super::tensors::GgufTensor;
use crate::weights::gguf::architecture::Architecture;
use crate::weights::gguf::rotary::{
    FACTOR, FREQUENCIES, HIGH_FREQ_FACTOR, LOW_FREQ_FACTOR, ORIGINAL_CONTEXT, SCALING,
};
use crate::{GptConfig, Heads, Positions, Rotary, RotaryScaling};

/// Adds what a file says of them.
pub(super) fn describe(rotary: &Rotary, heads: Heads, architecture: &Architecture, entries: &mut Entries) {
    let key = |key| architecture.key(key);
    let sizes = [
        ("attention.head_count_kv", heads.n_kv_heads),
        ("attention.key_length", heads.head_dim),
        ("attention.value_length", heads.head_dim),
        ("rope.dimension_count", heads.head_dim),
    ];
    for (name, size) in sizes {
        entries.u32(&key(name), size as u32);
    }
    entries.f32(&key("rope.freq_base"), rotary.theta as f32);
    match rotary.scaling {
        None => {}
        Some(RotaryScaling::Linear { factor }) => {
            entries.string(&key(SCALING), "linear");
            entries.f32(&key(FACTOR), factor as f32);
        }
        // Its factor is in the tensor of divisors. As a key it would divide every frequency once more.
        Some(RotaryScaling::Llama3 {
            low_freq_factor, high_freq_factor, original_context_length, ..
        }) => {
            entries.u32(&key(ORIGINAL_CONTEXT), original_context_length as u32);
            entries.f32(&key(LOW_FREQ_FACTOR), low_freq_factor as f32);
            entries.f32(&key(HIGH_FREQ_FACTOR), high_freq_factor as f32);
        }
    }
}

/// The tensor that divides frequencies, of a model that has it.
pub(super) fn divisors(config: &GptConfig) -> Option<GgufTensor> {
    let Positions::Rotary(rotary) = &config.positions else { return None };
    let divided = matches!(rotary.scaling, Some(RotaryScaling::Llama3 { .. }));
    let divisors = || rotary.divisors(config.head_dim()).into_iter().map(|divisor| divisor as f32).collect();
    divided.then(|| GgufTensor::vector(FREQUENCIES, divisors()))
}
