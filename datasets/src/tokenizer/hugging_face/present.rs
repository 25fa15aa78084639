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

    /// From now on a special token that is written out in a text is text.
    #[cfg(feature = "prepare")]
    pub(in crate::tokenizer) fn find_no_special_tokens(&mut self) {
        self.0.set_encode_special_tokens(true);
    }

    /// Tokens that stand for no text, as they are written.
    pub(in crate::tokenizer) fn special_tokens(&self) -> Vec<(String, u32)> {
        let added = self.0.get_added_vocabulary().get_added_tokens_decoder().iter();
        added.filter(|(_, token)| token.special).map(|(id, token)| (token.content.clone(), *id)).collect()
    }

    /// Ids must be inside the vocabulary.
    pub(in crate::tokenizer) fn decode(&self, tokens: &[u32]) -> Result<Vec<u8>> {
        match self.byte_level_bytes(tokens) {
            Some(bytes) => Ok(bytes),
            None => self.0.decode(tokens, false).map(String::into_bytes).map_err(refuse),
        }
    }

    /// What the token adds behind other tokens. The id must be inside the vocabulary.
    pub(in crate::tokenizer) fn token_bytes(&self, token: u32) -> Result<Vec<u8>> {
        if let Some(bytes) = self.byte_level_bytes(&[token]) {
            return Ok(bytes);
        }
        if self.0.get_decoder().is_some_and(falls_back_to_bytes)
            && let Some(byte) = self.0.id_to_token(token).as_deref().and_then(byte_of)
        {
            return Ok(vec![byte]);
        }
        // Decoders treat the first token in a way of its own, so it must not be the first.
        let (once, twice) = (self.decode(&[token])?, self.decode(&[token, token])?);
        Ok(twice.strip_prefix(&once[..]).map_or(once.clone(), <[u8]>::to_vec))
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

/// Whether tokens such as `<0x0A>` stand for bytes.
fn falls_back_to_bytes(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteFallback(_) => true,
        DecoderWrapper::Sequence(steps) => steps.get_decoders().iter().any(falls_back_to_bytes),
        _ => false,
    }
}

/// The byte that a token such as `<0x0A>` stands for.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

fn refuse(error: tokenizers::Error) -> Error {
    Error::format(FROM_FILE, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the vocabulary of Llama 2 is made.
    #[test]
    fn text_that_arrives_token_by_token_keeps_its_spaces_and_its_bytes() {
        let document = serde_json::json!({
            "version": "1.0", "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ]},
            "pre_tokenizer": null, "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ]},
            "model": {
                "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                "vocab": {"<unk>": 0, "<0xC3>": 1, "<0xA9>": 2, "▁": 3, "a": 4, "▁a": 5, "▁▁": 6},
                "merges": [["▁", "a"], ["▁", "▁"]],
            },
        });
        let tokenizer = HuggingFace::parse(&document.to_string()).expect("as published");
        for (text, ids) in
            [("a", &[5][..]), ("a a", &[5, 5]), (" aé", &[3, 5, 1, 2]), ("a  é", &[5, 6, 1, 2])]
        {
            assert_eq!(tokenizer.encode(text).expect("encodes"), ids, "{text:?}");
            assert_eq!(tokenizer.decode(ids).expect("decodes"), text.as_bytes());
            let bytes = ids.iter().flat_map(|id| tokenizer.token_bytes(*id).expect("decodes"));
            assert_eq!(bytes.collect::<Vec<u8>>(), format!(" {text}").as_bytes(), "behind other text");
        }
    }

    #[cfg(feature = "prepare")]
    #[test]
    fn special_tokens_are_text_on_request() {
        let document = serde_json::json!({
            "version": "1.0", "pre_tokenizer": null, "post_processor": null, "decoder": null, "normalizer": null,
            "added_tokens": [{"id": 5, "content": "<s>", "special": true, "single_word": false, "lstrip": false,
                              "rstrip": false, "normalized": false}],
            "model": {"type": "BPE", "vocab": {"<": 0, "s": 1, ">": 2, "a": 3, "b": 4}, "merges": []},
        });
        let mut tokenizer = HuggingFace::parse(&document.to_string()).expect("sound");
        assert_eq!(tokenizer.special_tokens(), [("<s>".to_owned(), 5)]);
        assert_eq!(tokenizer.encode("<s>ab").expect("encodes"), [5, 3, 4]);
        tokenizer.find_no_special_tokens();
        assert_eq!(tokenizer.encode("<s>ab").expect("encodes"), [0, 1, 2, 3, 4]);
    }

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
