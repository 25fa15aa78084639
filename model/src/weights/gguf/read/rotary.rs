//! How fast rotary positions turn.

use super::file::Gguf;
use crate::error::Result;
use crate::weights::gguf::architecture::Architecture;
use crate::weights::gguf::rotary::{
    FACTOR, FREQUENCIES, HIGH_FREQ_FACTOR, LOW_FREQ_FACTOR, ORIGINAL_CONTEXT, SCALING,
};
use crate::{Rotary, RotaryScaling};

/// Frequencies turn by this base where the file does not say otherwise.
const BASE: f64 = 10_000.0;

/// The rotary positions of a file whose heads have that width.
pub(super) fn rotary(gguf: &Gguf<'_>, architecture: &Architecture, head_dim: u64) -> Result<Rotary> {
    let metadata = &gguf.metadata;
    let theta = metadata.number(&architecture.key("rope.freq_base"))?.unwrap_or(BASE);
    let scaling = architecture.key(SCALING);
    let factor = metadata.number(&architecture.key(FACTOR))?;
    // Old files have this instead of the two.
    let factor = factor.or(metadata.number(&architecture.key("rope.scale_linear"))?).unwrap_or(1.0);
    let linear = match metadata.text(&scaling)? {
        Some("none") => false,
        None | Some("linear") => factor != 1.0,
        Some(_) => return Err(gguf.wrong(format!("{} is not supported", metadata.told(&scaling)))),
    };
    let scaling = match llama3(gguf, architecture, theta, head_dim)? {
        Some(_) if linear => {
            return Err(gguf.wrong(format!("`{FREQUENCIES}` and linear scaling are not supported together")));
        }
        None if linear => Some(RotaryScaling::Linear { factor }),
        divided => divided,
    };
    Ok(Rotary { theta, scaling })
}

/// The scaling that made the tensor of divisors, if there is one.
fn llama3(
    gguf: &Gguf<'_>,
    architecture: &Architecture,
    theta: f64,
    head_dim: u64,
) -> Result<Option<RotaryScaling>> {
    let Some(tensor) = gguf.tensor(FREQUENCIES) else { return Ok(None) };
    let count = tensor.shape.iter().product::<usize>();
    let encoding = tensor.tensor_type.encoding.filter(|_| count as u64 == head_dim / 2);
    let Some(encoding) = encoding else {
        let (shape, name) = (&tensor.shape, tensor.tensor_type.name);
        return Err(gguf.wrong(format!(
            "`{FREQUENCIES}` has shape {shape:?} and is {name}; expected [{}], F32",
            head_dim / 2
        )));
    };
    let divisors = encoding.values(tensor.bytes, count);
    if divisors.iter().all(|divisor| *divisor == 1.0) {
        return Ok(None);
    }
    let number = |key: &str| gguf.metadata.number(&architecture.key(key));
    let original = gguf.metadata.whole(&architecture.key(ORIGINAL_CONTEXT))?.unwrap_or(8192);
    let factor = divisors.iter().copied().fold(1.0, f32::max).into();
    // The divisors do not tell the others one by one; where the file does not either, they are those of every Llama 3.
    let scaling = RotaryScaling::Llama3 {
        factor,
        low_freq_factor: number(LOW_FREQ_FACTOR)?.unwrap_or(1.0),
        high_freq_factor: number(HIGH_FREQ_FACTOR)?.unwrap_or(4.0),
        original_context_length: original as usize,
    };
    let expected = Rotary { theta, scaling: Some(scaling) }.divisors(2 * count);
    let wrong = divisors.iter().zip(expected).enumerate().find(|(_, (divisor, expected))| {
        (f64::from(**divisor) / expected - 1.0).abs() > 1e-4 || !divisor.is_finite()
    });
    match wrong {
        Some((pair, (found, expected))) => Err(gguf.wrong(format!(
            "`{FREQUENCIES}` divides frequency {pair} by {found}, and Llama 3's scaling by {factor} from a context of {original} on \
             divides it by {expected}"
        ))),
        None => Ok(Some(scaling)),
    }
}
