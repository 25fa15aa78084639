//! Tokenizers of the `tokenizers` crate.

use tokenizers::Tokenizer;
use tokenizers::decoders::DecoderWrapper;

use crate::error::{Error, Result};
use crate::tokenizer::{FROM_FILE, visible};

#[derive(Clone, Debug)]
pub(in crate::tokenizer) struct HuggingFace(Box<Tokenizer>);

impl HuggingFace {
    pub(in crate::tokenizer) fn parse(document: &str) -> Result<Self, String> {
        document.parse().map(|tokenizer| Self(Box::new(tokenizer))).map_err(|error| format!("{error}"))
    }

    pub(in crate::tokenizer) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.0.encode(text, false).map_err(refuse)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Ids must be inside the vocabulary.
    pub(in crate::tokenizer) fn decode(&self, tokens: &[u32]) -> Result<Vec<u8>> {
        match self.byte_level_bytes(tokens) {
            Some(bytes) => Ok(bytes),
            None => self.0.decode(tokens, false).map(String::into_bytes).map_err(refuse),
        }
    }

    pub(in crate::tokenizer) fn vocab_size(&self) -> usize {
        self.0.get_vocab_size(true)
    }

    pub(in crate::tokenizer) fn id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    /// The text of its `tokenizer.json`.
    pub(in crate::tokenizer) fn json(&self, pretty: bool) -> Result<String> {
        self.0.to_string(pretty).map_err(refuse)
    }

    /// The bytes of a byte-level tokenizer's tokens; `None` if it is of another kind.
    fn byte_level_bytes(&self, tokens: &[u32]) -> Option<Vec<u8>> {
        if !matches!(self.0.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
            return None;
        }
        let added = self.0.get_added_vocabulary().get_added_tokens_decoder();
        let mut bytes = Vec::new();
        for token in tokens {
            let text = self.0.id_to_token(*token)?;
            if added.contains_key(token) {
                bytes.extend(text.as_bytes());
            } else {
                bytes.extend(visible::to_bytes(&text)?);
            }
        }
        Some(bytes)
    }
}

fn refuse(error: tokenizers::Error) -> Error {
    Error::format(FROM_FILE, error.to_string())
}
