//! Short pieces as numbers, and the tokens of those met before.

/// Longest piece that has a [`key`], in bytes.
const LONGEST: usize = 15;

/// Most tokens that are remembered for a piece.
const TOKENS: usize = 3;

/// Slots, a power of two: half a megabyte, which stays in the cache of a core.
const SLOTS: usize = 1 << 14;

/// The bytes of a piece and its length as one number; `None` if there are more than 15 of them.
#[inline(always)]
pub(super) fn key(text: &[u8], start: usize, end: usize) -> Option<u128> {
    let length = end - start;
    if length > LONGEST {
        return None;
    }
    let bytes = match text.get(start..start + 16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
        Some(bytes) => bytes,
        // The end of the text.
        None => {
            let mut bytes = [0; 16];
            bytes[..length].copy_from_slice(&text[start..end]);
            bytes
        }
    };
    Some(u128::from_le_bytes(bytes) & MASKS[length] | (length as u128) << 120)
}

/// `MASKS[n]` keeps the lowest `n` bytes.
const MASKS: [u128; LONGEST + 1] = {
    let mut masks = [0; LONGEST + 1];
    let mut length = 1;
    while length <= LONGEST {
        masks[length] = masks[length - 1] << 8 | 0xFF;
        length += 1;
    }
    masks
};

/// Each key has one slot, which the last piece that fell there holds.
#[derive(Debug)]
pub(super) struct Cache(Vec<Entry>);

/// The tokens of a piece.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// No key is zero.
    key: u128,
    length: u32,
    tokens: [u32; TOKENS],
}

impl Default for Cache {
    fn default() -> Self {
        Self(vec![Entry::default(); SLOTS])
    }
}

impl Cache {
    #[inline(always)]
    pub(super) fn get(&self, key: u128) -> Option<&Entry> {
        let entry = &self.0[slot(key)];
        (entry.key == key).then_some(entry)
    }

    pub(super) fn insert(&mut self, key: u128, tokens: &[u32]) {
        if tokens.len() <= TOKENS {
            let mut entry = Entry { key, length: tokens.len() as u32, tokens: [0; TOKENS] };
            entry.tokens[..tokens.len()].copy_from_slice(tokens);
            self.0[slot(key)] = entry;
        }
    }
}

impl Entry {
    #[inline(always)]
    pub(super) fn append_to(&self, tokens: &mut Vec<u32>) {
        if self.length == 1 {
            tokens.push(self.tokens[0]);
        } else {
            tokens.extend_from_slice(&self.tokens[..self.length as usize]);
        }
    }
}

/// Folds the key by a product of twice its width.
#[inline(always)]
fn slot(key: u128) -> usize {
    let (low, high) = (key as u64, (key >> 64) as u64);
    let product = u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high ^ 0xD1B5_4A32_D192_ED03);
    ((product as u64) ^ (product >> 64) as u64) as usize % SLOTS
}
