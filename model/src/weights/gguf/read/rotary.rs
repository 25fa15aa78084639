//! Rotary positions: how fast they turn, and which rows turn together.

use std::f64::consts::TAU;

use serde_json::{Value, json};

use super::architecture::Architecture;
use super::file::Gguf;
use crate::error::Result;

/// The tensor that divides each frequency: Llama 3's way to a longer context.
pub(super) const FREQUENCIES: &str = "rope_freqs.weight";

/// Frequencies turn by this base where the file does not say otherwise.
const BASE: f64 = 10_000.0;

/// What Llama 3 divides frequencies by, as `config.json` describes it.
#[derive(Clone, Copy, Debug)]
struct Llama3 {
    factor: f64,
    low_freq_factor: f64,
    high_freq_factor: f64,
    original_max_position_embeddings: u64,
}

/// The value of `rope_parameters`.
pub(super) fn rope_parameters(gguf: &Gguf<'_>, architecture: &Architecture, head_dim: u64) -> Result<Value> {
    let metadata = &gguf.metadata;
    let theta = metadata.number(&architecture.key("rope.freq_base"))?.unwrap_or(BASE);
    let scaling = architecture.key("rope.scaling.type");
    let factor = metadata.number(&architecture.key("rope.scaling.factor"))?;
    // Old files have this instead of the two.
    let factor = factor.or(metadata.number(&architecture.key("rope.scale_linear"))?).unwrap_or(1.0);
    let linear = match metadata.text(&scaling)? {
        Some("none") => false,
        None | Some("linear") => factor != 1.0,
        Some(_) => return Err(gguf.wrong(format!("{} is not supported", metadata.told(&scaling)))),
    };
    let divided = match llama3(gguf, architecture, theta, head_dim)? {
        Some(_) if linear => {
            return Err(gguf.wrong(format!("`{FREQUENCIES}` and linear scaling are not supported together")));
        }
        divided => divided,
    };
    Ok(match divided {
        Some(scaling) => json!({
            "rope_type": "llama3", "rope_theta": theta, "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor, "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_max_position_embeddings,
        }),
        None if linear => json!({"rope_type": "linear", "rope_theta": theta, "factor": factor}),
        None => json!({"rope_type": "default", "rope_theta": theta}),
    })
}

/// The scaling that made the tensor of frequencies, if there is one.
fn llama3(gguf: &Gguf<'_>, architecture: &Architecture, theta: f64, head_dim: u64) -> Result<Option<Llama3>> {
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
    let original = gguf.metadata.whole(&architecture.key("rope.scaling.original_context_length"))?;
    // The numbers of every Llama 3; the divisors do not tell them one by one.
    let scaling = Llama3 {
        factor: divisors.iter().copied().fold(1.0, f32::max).into(),
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: original.unwrap_or(8192),
    };
    let wrong = divisors.iter().enumerate().find_map(|(pair, divisor)| {
        let expected = scaling.divisor(theta.powf(-2.0 * pair as f64 / head_dim as f64));
        ((f64::from(*divisor) / expected - 1.0).abs() > 1e-4 || !divisor.is_finite())
            .then_some((pair, *divisor, expected))
    });
    match wrong {
        Some((pair, found, expected)) => Err(gguf.wrong(format!(
            "`{FREQUENCIES}` divides frequency {pair} by {found}, and Llama 3's scaling by {} from a context of {} on divides it \
             by {expected}",
            scaling.factor, scaling.original_max_position_embeddings
        ))),
        None => Ok(Some(scaling)),
    }
}

impl Llama3 {
    /// 1 for frequencies that turn often within the original context, `factor` for those that hardly turn, and a blend
    /// between.
    fn divisor(self, frequency: f64) -> f64 {
        let turns = self.original_max_position_embeddings as f64 * frequency / TAU;
        let blend = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor);
        let blend = blend.clamp(0.0, 1.0);
        1.0 / ((1.0 - blend) / self.factor + blend)
    }
}

/// Rows of queries or keys whose pairs are neighbours, in the order of Hugging Face: first the first of each pair, then
/// the second. `values` are whole rows of all heads.
pub(in crate::weights) fn halves_of_pairs(values: &[f32], rows: usize, heads: usize) -> Vec<f32> {
    let (columns, pairs) = (values.len() / rows, rows / heads / 2);
    let mut halves = Vec::with_capacity(values.len());
    for head in values.chunks_exact(2 * pairs * columns) {
        for half in 0..2 {
            let rows = head.chunks_exact(columns).skip(half).step_by(2);
            rows.for_each(|row| halves.extend_from_slice(row));
        }
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_halves_head_by_head() {
        // Two heads of four rows, each row its number twice.
        let rows: Vec<f32> = (0..8).flat_map(|row| [row as f32; 2]).collect();
        let halves = halves_of_pairs(&rows, 8, 2);
        let order: Vec<f32> = halves.into_iter().step_by(2).collect();
        assert_eq!(order, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }

    /// Factors that `transformers`' formula gives for Llama 3.2 1B: theta 500,000, heads of 64, factor 32.
    #[test]
    fn frequencies_are_divided_as_in_llama_3() {
        let scaling = Llama3 {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let divisor = |pair: i32| scaling.divisor(500_000f64.powf(-2.0 * f64::from(pair) / 64.0));
        assert_eq!((divisor(0), divisor(14), divisor(18), divisor(31)), (1.0, 1.0, 32.0, 32.0));
        assert!((16..18).all(|pair| divisor(pair) > 1.0 && divisor(pair) < 32.0), "{}", divisor(16));
    }
}
