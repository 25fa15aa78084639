//! The number formats in which a weight may lie in memory.

use crate::allocation::vec_with_capacity;

/// The elements of a matrix, in the format that holds them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Elements<'a> {
    /// 32-bit IEEE.
    F32(&'a [f32]),
    /// The upper halves of 32-bit floats, output channel by output channel.
    Bf16(&'a [u16]),
    /// Integers from −127 to 127, output channel by output channel, and the scale of each channel.
    Int8(&'a [i8], &'a [f32]),
}

impl<'a> Elements<'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::Int8(values, _) => values.len(),
        }
    }

    /// The elements where only f32 will do.
    ///
    /// # Panics
    /// If they are in fewer bits.
    pub(crate) fn f32s(self) -> &'a [f32] {
        match self {
            Self::F32(values) => values,
            _ => panic!(
                "weights in fewer bits are read output channel by output channel, and have no gradient"
            ),
        }
    }
}

impl<'a> From<&'a [f32]> for Elements<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a Vec<f32>> for Elements<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        Self::F32(values)
    }
}

/// One element of a format.
pub(crate) trait Element: Copy + Send + Sync {
    /// Its value, before any scale.
    fn widen(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Element for u16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }
}

impl Element for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
}

/// The nearest finite values of 16 bits, ties to even.
pub(crate) fn to_bf16(values: &[f32]) -> Vec<u16> {
    let most = half::bf16::MAX.to_f32();
    let mut bits = vec_with_capacity(values.len());
    bits.extend(values.iter().map(|value| half::bf16::from_f32(value.clamp(-most, most)).to_bits()));
    bits
}

/// Rounds a matrix of `channels` rows to 8 bits, each row by its largest magnitude: the values and the
/// scales.
pub(crate) fn quantize_rows(values: &[f32], channels: usize) -> (Vec<i8>, Vec<f32>) {
    let width = values.len() / channels.max(1);
    let mut scales = Vec::with_capacity(channels);
    let mut quantized = vec_with_capacity(values.len());
    for channel in 0..channels {
        let row = &values[channel * width..][..width];
        let scale = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs())) / f32::from(i8::MAX);
        quantized.extend(row.iter().map(|value| quantize(*value, scale)));
        scales.push(scale);
    }
    (quantized, scales)
}

fn quantize(value: f32, scale: f32) -> i8 {
    // A channel of zeros has scale zero; the cast takes NaN to zero and saturates.
    (value / scale).round() as i8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::host::kernels::machine::testing::random;

    #[test]
    fn rounding_costs_at_most_half_a_unit_of_each_channel() {
        let (rows, columns) = (7, 33);
        let mut values = random(rows * columns, 3);
        values[5 * columns..6 * columns].fill(0.0);
        let (by_row, scales) = quantize_rows(&values, rows);
        for (i, &value) in values.iter().enumerate() {
            let row = i / columns;
            assert!((by_row[i].widen() * scales[row] - value).abs() <= 0.5001 * scales[row]);
        }
        assert!(by_row[5 * columns..6 * columns].iter().all(|value| *value == 0));
    }

    #[test]
    fn halves_are_the_nearest() {
        let values = random(1000, 9);
        for (value, bits) in values.iter().zip(to_bf16(&values)) {
            let error = (bits.widen() - value).abs();
            assert!(error <= value.abs() / 256.0, "{value} is off by {error}");
        }
        assert_eq!(to_bf16(&[1.0])[0].widen(), 1.0);
    }
}
