//! Blocks of 32 values with one scale `d`, and in those that end in `_1` a least value `m`. Of each byte, the lower
//! half belongs to the first 16 values and the upper half to the others.

use super::f16;

/// `d (q - 8)` of 4 bits: d, 16 bytes.
pub(super) fn q4_0(block: &[u8; 18], values: &mut [f32; 32]) {
    let d = f16(block, 0);
    let (first, second) = values.split_at_mut(16);
    for ((byte, first), second) in block[2..].iter().zip(first).zip(second) {
        *first = d * (f32::from(byte & 0xF) - 8.0);
        *second = d * (f32::from(byte >> 4) - 8.0);
    }
}

/// `d q + m` of 4 bits: d, m, 16 bytes.
pub(super) fn q4_1(block: &[u8; 20], values: &mut [f32; 32]) {
    let (d, m) = (f16(block, 0), f16(block, 2));
    let (first, second) = values.split_at_mut(16);
    for ((byte, first), second) in block[4..].iter().zip(first).zip(second) {
        *first = d * f32::from(byte & 0xF) + m;
        *second = d * f32::from(byte >> 4) + m;
    }
}

/// `d (q - 16)` of 5 bits: d, the fifth bits of all values, 16 bytes.
pub(super) fn q5_0(block: &[u8; 22], values: &mut [f32; 32]) {
    let d = f16(block, 0);
    five_bits([block[2], block[3], block[4], block[5]], &block[6..], values, |q| d * (q - 16.0));
}

/// `d q + m` of 5 bits: d, m, the fifth bits of all values, 16 bytes.
pub(super) fn q5_1(block: &[u8; 24], values: &mut [f32; 32]) {
    let (d, m) = (f16(block, 0), f16(block, 2));
    five_bits([block[4], block[5], block[6], block[7]], &block[8..], values, |q| d * q + m);
}

fn five_bits(fifth: [u8; 4], bytes: &[u8], values: &mut [f32; 32], value: impl Fn(f32) -> f32) {
    let fifth = u32::from_le_bytes(fifth);
    for (at, byte) in bytes.iter().enumerate() {
        let bit = |at: usize| (fifth >> at & 1) as u8;
        values[at] = value(f32::from(byte & 0xF | bit(at) << 4));
        values[at + 16] = value(f32::from(byte >> 4 | bit(at + 16) << 4));
    }
}

/// `d q` of 8 bits with a sign: d, 32 bytes.
pub(super) fn q8_0(block: &[u8; 34], values: &mut [f32; 32]) {
    let d = f16(block, 0);
    for (byte, value) in block[2..].iter().zip(values) {
        *value = d * f32::from(*byte as i8);
    }
}
