//! GPT-2's way of writing bytes as visible characters: printable Latin-1 stands for itself, the rest follows
//! from `U+0100` on, so a space is `Ġ`.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

static CHARACTERS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut hidden = ('\u{100}'..).take(68);
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        let visible = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        if visible { char::from(byte) } else { hidden.next().expect("68 bytes are not visible") }
    })
});

static BYTES: LazyLock<FxHashMap<char, u8>> =
    LazyLock::new(|| CHARACTERS.iter().copied().zip(0..=255).collect());

/// The characters of `bytes`.
pub(super) fn of_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| CHARACTERS[usize::from(*byte)]).collect()
}

/// The bytes that `text` stands for, if all of it does.
pub(super) fn to_bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|character| BYTES.get(&character).copied()).collect()
}

/// All bytes in the order of their characters.
pub(super) fn alphabet() -> [u8; 256] {
    let mut bytes = std::array::from_fn(|byte| byte as u8);
    bytes.sort_unstable_by_key(|byte| CHARACTERS[usize::from(*byte)]);
    bytes
}
