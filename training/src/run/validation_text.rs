//! What is known of the text that a run is judged by: `validation.json`.

use std::path::Path;

use kiln_datasets::TokenShard;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The text that a run is judged by. Losses in nats per token compare between runs only where it is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationText {
    /// Its tokens.
    pub tokens: u64,
    /// Bytes of the text that they encode.
    pub text_bytes: u64,
    /// Checksum of the tokens, one for each of their files.
    pub checksum: String,
    /// The loss in nats per token that no model can expect to beat, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
}

impl ValidationText {
    /// What is known of a validation split.
    pub fn of(shard: &TokenShard) -> Self {
        let checksums: Vec<String> =
            shard.identity().iter().map(|file| format!("{:016x}", file.checksum)).collect();
        Self {
            tokens: shard.len() as u64,
            text_bytes: shard.text_bytes(),
            checksum: checksums.join("-"),
            floor: None,
        }
    }

    /// A loss in nats per token as bits per byte of text, which compares between tokenizers.
    pub fn bits_per_byte(&self, loss: f64) -> Option<f64> {
        let nats = loss * self.tokens as f64;
        (self.text_bytes > 0).then(|| nats / self.text_bytes as f64 / std::f64::consts::LN_2)
    }

    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Error::Format { path: path.to_owned(), reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(path)(error)),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("plain values serialise");
        Ok(kiln_model::write_file(path, text + "\n")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_of_eight_bits_a_byte_is_one_of_guessing_bytes() {
        let text = ValidationText { tokens: 50, text_bytes: 100, checksum: String::new(), floor: None };
        let guessing = 2.0 * 256f64.ln();
        assert!(text.bits_per_byte(guessing).is_some_and(|bits| (bits - 8.0).abs() < 1e-12));
        assert_eq!(ValidationText { text_bytes: 0, ..text }.bits_per_byte(1.0), None);
    }

    #[test]
    fn is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("validation.json");
        assert_eq!(ValidationText::read(&path).expect("no error"), None);
        let text = ValidationText { tokens: 50, text_bytes: 100, checksum: "ab".into(), floor: Some(0.5224) };
        text.write(&path).expect("writable");
        assert_eq!(ValidationText::read(&path).expect("just written"), Some(text));
        std::fs::write(&path, "{").expect("writable");
        assert!(matches!(ValidationText::read(&path), Err(Error::Format { .. })));
    }
}
