//! JSON as Python writes it, which is not always JSON.
//!
//! - `NaN`, `Infinity` and `-Infinity` are no JSON; as nothing but numbers is written so, `null` takes their
//!   place.
//! - Half of a character, `"\ud83d"` without the other half, is well-formed JSON but no text; on request, `U+FFFD`
//!   takes its place.

use std::io::{self, Read};

use super::rewritten::{Rewrite, Rewritten};

/// The longest run of bytes that are looked at together: two halves of a character.
const LONGEST: usize = "\\ud83d\\ude00".len();

const NUMBERS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// Replaces what is not JSON while it is read.
pub(super) struct PythonJson<R> {
    inner: R,
    /// Whether to replace halves of characters.
    halves: bool,
    in_string: bool,
    /// Bytes that were read and not looked at.
    raw: Vec<u8>,
}

impl<R: Read> PythonJson<R> {
    pub(super) fn new(inner: R, halves: bool) -> Rewritten<Self> {
        Rewritten::new(Self { inner, halves, in_string: false, raw: Vec::new() })
    }

    /// Looks at what stands at `at`, and returns how many bytes it is.
    fn step(&mut self, at: usize, ready: &mut Vec<u8>) -> usize {
        let rest = &self.raw[at..];
        if !self.in_string {
            if let Some(number) = NUMBERS.iter().find(|number| rest.starts_with(number)) {
                ready.extend_from_slice(b"null");
                return number.len();
            }
            self.in_string = rest[0] == b'"';
        } else if rest[0] == b'"' {
            self.in_string = false;
        } else if rest[0] == b'\\' {
            let (length, is_half) = match (unit(rest), rest.get(6..).and_then(unit)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (LONGEST, false),
                (Some(0xD800..=0xDFFF), _) => (6, true),
                _ => (2.min(rest.len()), false),
            };
            let replacement = if is_half && self.halves { b"\\ufffd" } else { &rest[..length] };
            ready.extend_from_slice(replacement);
            return length;
        }
        ready.push(rest[0]);
        1
    }
}

/// The number of an escape such as `\ud83d`, if `bytes` begin with one.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits =
        bytes.strip_prefix(b"\\u")?.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

impl<R: Read> Rewrite for PythonJson<R> {
    fn piece(&mut self, ready: &mut Vec<u8>) -> io::Result<bool> {
        let held = self.raw.len();
        self.raw.resize(held + (1 << 16), 0);
        let read = self.inner.read(&mut self.raw[held..]);
        self.raw.truncate(held + read.as_ref().map_or(0, |read| *read));
        let is_end = read? == 0;
        let mut at = 0;
        // What may go on in the next piece waits for it.
        while self.raw.len() - at >= if is_end { 1 } else { LONGEST } {
            at += self.step(at, ready);
        }
        self.raw.drain(..at);
        Ok(!is_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Hands out a few bytes at a time.
    struct Drops(Cursor<Vec<u8>>, usize);

    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn numbers_and_halves_are_replaced_and_nothing_else() {
        let text = r#"{"NaN": NaN, "a": [-Infinity,Infinity], "t": "NaN \" \\ud800 \ud800 \ud83d\ude00 \udc00x\uD83D"}"#;
        let numbers =
            r#"{"NaN": null, "a": [null,null], "t": "NaN \" \\ud800 \ud800 \ud83d\ude00 \udc00x\uD83D"}"#;
        let both =
            r#"{"NaN": null, "a": [null,null], "t": "NaN \" \\ud800 \ufffd \ud83d\ude00 \ufffdx\ufffd"}"#;
        for size in [1, 2, 3, 7, 1000] {
            for (halves, expected) in [(false, numbers), (true, both)] {
                let drops = Drops(Cursor::new(text.as_bytes().to_vec()), size);
                let mut read = String::new();
                PythonJson::new(drops, halves).read_to_string(&mut read).expect("UTF-8");
                assert_eq!(read, expected, "{size} bytes at a time");
            }
        }
    }
}
