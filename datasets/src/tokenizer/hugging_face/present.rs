//! Tokenizers of the `tokenizers` crate.

use tokenizers::Tokenizer;
use tokenizers::decoders::DecoderWrapper;

use crate::error::{Error, Result};
use crate::tokenizer::{FROM_FILE, visible};

/// The crate passes over every id up to the last when it writes a tokenizer. Published vocabularies have below a
/// million.
const MOST_IDS: u32 = 1 << 24;

#[derive(Clone, Debug)]
pub(in crate::tokenizer) struct HuggingFace(Box<Tokenizer>);

impl HuggingFace {
    pub(in crate::tokenizer) fn parse(document: &str) -> Result<Self, String> {
        let tokenizer: Tokenizer = document.parse().map_err(|error| format!("{error}"))?;
        let last = tokenizer.get_vocab(true).into_iter().max_by_key(|(_, id)| *id);
        match last.filter(|(_, id)| *id >= MOST_IDS) {
            Some((token, id)) => {
                Err(format!("the id of token {token:?} is {id}, and no vocabulary has more than {MOST_IDS}"))
            }
            None => Ok(Self(Box::new(tokenizer))),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_no_vocabulary_has_is_refused() {
        let parse = |id: u64| {
            let vocab = format!("{{\"a\": 0, \"zz\": {id}}}");
            HuggingFace::parse(&format!(
                "{{\"version\": \"1.0\", \"model\": {{\"type\": \"WordLevel\", \"unk_token\": \"a\", \"vocab\": {vocab}}}}}"
            ))
        };
        assert!(parse(3).is_ok() && parse(1_000_000).is_ok());
        for id in [100_000_000, 3_000_000_000, 4_294_967_295] {
            let refused = parse(id).expect_err("too large");
            assert!(refused.contains("zz") && refused.contains(&id.to_string()), "{refused}");
        }
    }
}
