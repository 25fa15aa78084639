//! Blocks of 256 values in parts with scales of their own, which one f16 scales again.

use super::f16;

/// `d s q - dmin m` of 4 bits, in parts of 32 values with scale `s` and least value `m`: d, dmin, 12 bytes of scales,
/// 128 bytes. Of each 32 bytes, the lower halves are one part and the upper halves the next.
pub(super) fn q4_k(block: &[u8; 144], values: &mut [f32; 256]) {
    let parts = parts(block);
    for (pair, bytes) in block[16..].chunks_exact(32).enumerate() {
        for (at, byte) in bytes.iter().enumerate() {
            let q = [byte & 0xF, byte >> 4];
            for (half, q) in q.into_iter().enumerate() {
                let (scale, least) = parts[2 * pair + half];
                values[64 * pair + 32 * half + at] = scale * f32::from(q) - least;
            }
        }
    }
}

/// As [`q4_k`], of 5 bits: the fifth bits, 32 bytes, stand before the 128. Bit `i` of each of the 32 belongs to part `i`.
pub(super) fn q5_k(block: &[u8; 176], values: &mut [f32; 256]) {
    let (parts, fifth) = (parts(block), &block[16..48]);
    for (pair, bytes) in block[48..].chunks_exact(32).enumerate() {
        for (at, byte) in bytes.iter().enumerate() {
            let q = [byte & 0xF, byte >> 4];
            for (half, q) in q.into_iter().enumerate() {
                let part = 2 * pair + half;
                let q = q | (fifth[at] >> part & 1) << 4;
                let (scale, least) = parts[part];
                values[32 * part + at] = scale * f32::from(q) - least;
            }
        }
    }
}

/// `d s` and `dmin m` of the eight parts of a block that begins with d and dmin. Of the 12 bytes behind them, the first
/// four hold `s` of parts 0 to 3 in their lower six bits, the next four `m`; the last four hold the lower halves of `s`
/// and of `m` of parts 4 to 7, whose upper two bits are those that were left.
fn parts(block: &[u8]) -> [(f32, f32); 8] {
    let (d, dmin, bytes) = (f16(block, 0), f16(block, 2), &block[4..16]);
    std::array::from_fn(|part| {
        let (scale, least) = match part {
            0..4 => (bytes[part] & 63, bytes[part + 4] & 63),
            _ => (
                bytes[part + 4] & 0xF | bytes[part - 4] >> 6 << 4,
                bytes[part + 4] >> 4 | bytes[part] >> 6 << 4,
            ),
        };
        (d * f32::from(scale), dmin * f32::from(least))
    })
}

/// `d s (q - 32)` of 6 bits, in parts of 16 values with scale `s`: 128 bytes of lower four bits, 64 bytes of upper two,
/// 16 scales with a sign, d.
///
/// Each half of the block has 64 bytes of lower and 32 of upper bits. Its four quarters of 32 values are the lower halves
/// of the first 32 bytes, of the second 32, then the upper halves of both; quarter `i` has bits `2 i` of the 32.
pub(super) fn q6_k(block: &[u8; 210], values: &mut [f32; 256]) {
    let (lower, upper, scales, d) = (&block[..128], &block[128..192], &block[192..208], f16(block, 208));
    for (index, value) in values.iter_mut().enumerate() {
        let (half, quarter, at) = (index / 128, index / 32 % 4, index % 32);
        let lower = lower[64 * half + 32 * (quarter % 2) + at] >> (4 * (quarter / 2)) & 0xF;
        let upper = upper[32 * half + at] >> (2 * quarter) & 3;
        let scale = d * f32::from(scales[index / 16] as i8);
        *value = scale * (f32::from(lower | upper << 4) - 32.0);
    }
}
