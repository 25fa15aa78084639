//! The random numbers of the tales: SplitMix64, with integers below a bound drawn without any bias.
//!
//! The generator is written here, and not taken from a library, so that a seed tells the same stories for
//! ever and on every platform.

/// SplitMix64, <https://prng.di.unimi.it/splitmix64.c>: a Weyl sequence passed through a mixing function.
#[derive(Debug, Clone)]
pub(super) struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator that starts at `seed`; every seed is as good as any other.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub(super) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer in `0..bound`, each with the probability `1 / bound` exactly (for uniform 64-bit words).
    ///
    /// The words at or above the greatest multiple of `bound` are rejected, so that every remainder is hit by
    /// the same number of words.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an integer below 0 was asked for");
        // 2^64 mod bound, computed without leaving 64 bits: so many words at the top are in excess.
        let excess = (u64::MAX % bound + 1) % bound;
        loop {
            let word = self.next_u64();
            if word <= u64::MAX - excess {
                return word % bound;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_are_those_of_the_reference_implementation() {
        // The published first outputs of splitmix64.c for the seed 1234567.
        let mut rng = SplitMix64::new(1_234_567);
        let words: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(words, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = SplitMix64::new(7);
        for bound in [1, 2, 3, 7, 24] {
            let draws = 24_000;
            let mut counts = vec![0.0_f64; bound];
            for _ in 0..draws {
                counts[rng.below(bound as u64) as usize] += 1.0;
            }
            let expected = f64::from(draws) / bound as f64;
            let chi2: f64 = counts.iter().map(|n| (n - expected).powi(2) / expected).sum();
            // Mean bound − 1 and variance 2 (bound − 1): six standard deviations.
            let free = (bound - 1) as f64;
            assert!(chi2 <= free + 6.0 * (2.0 * free).sqrt(), "bound {bound}: chi² {chi2}");
        }
    }

    #[test]
    fn a_bound_just_above_half_the_range_rejects_but_ends() {
        let mut rng = SplitMix64::new(1);
        let bound = (1 << 63) + 1;
        assert!((0..100).all(|_| rng.below(bound) < bound));
    }
}
