//! Text from tokens that arrive one by one.

/// Holds back the bytes of a character until all of them have arrived.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// Takes the bytes of the next token and returns the characters that are complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(rest) => {
                    text.push_str(rest);
                    self.pending.clear();
                    return text;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
                    match error.error_len() {
                        Some(wrong) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            self.pending.drain(..valid + wrong);
                        }
                        // The last character is not over yet.
                        None => {
                            self.pending.drain(..valid);
                            return text;
                        }
                    }
                }
            }
        }
    }

    /// What is left at the end: nothing, or the mark of a character that never completed.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_appears_when_its_last_byte_does() {
        let mut stream = StreamDecoder::default();
        let crab = "🦀".as_bytes();
        assert_eq!(stream.push(b"a"), "a");
        assert_eq!(stream.push(&crab[..2]), "");
        assert_eq!(stream.push(&crab[2..]), "🦀");
        assert_eq!(stream.push(b"\xffb"), "\u{fffd}b");
        stream.push(&crab[..3]);
        assert_eq!(stream.finish(), "\u{fffd}");
    }
}
