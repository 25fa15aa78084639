//! ggml's quantised tensors as f32. A tensor is a row of blocks, each of a fixed number of bytes; the functions
//! of `small` and `super_block` decode one block each (<https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c>).

mod small;
mod super_block;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

/// Blocks that are decoded by one thread at a time.
const BLOCKS: usize = 256;

/// How a block holds its values. The digit is the bits of each; `_0` scales them, `_1` scales and shifts them, and
/// `K` does so in parts whose scales are quantised, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::weights) enum Quantised {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl Quantised {
    /// Decodes whole blocks into `values`, on all threads of the current rayon pool if there are many.
    pub(in crate::weights) fn decode(self, bytes: &[u8], values: &mut [f32]) {
        match self {
            Self::Q4_0 => blocks(bytes, values, small::q4_0),
            Self::Q4_1 => blocks(bytes, values, small::q4_1),
            Self::Q5_0 => blocks(bytes, values, small::q5_0),
            Self::Q5_1 => blocks(bytes, values, small::q5_1),
            Self::Q8_0 => blocks(bytes, values, small::q8_0),
            Self::Q4K => blocks(bytes, values, super_block::q4_k),
            Self::Q5K => blocks(bytes, values, super_block::q5_k),
            Self::Q6K => blocks(bytes, values, super_block::q6_k),
        }
    }
}

fn blocks<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    values: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; VALUES]) + Sync,
) {
    let (encoded, decoded) = (bytes.as_chunks::<BYTES>().0, values.as_chunks_mut::<VALUES>().0);
    assert_eq!(encoded.len(), decoded.len(), "as many blocks as the values need");
    let pieces = decoded.par_chunks_mut(BLOCKS).zip(encoded.par_chunks(BLOCKS));
    pieces.for_each(|(decoded, encoded)| {
        decoded.iter_mut().zip(encoded).for_each(|(values, block)| decode(block, values));
    });
}

/// The f16 at this place of a block.
fn f16(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}
