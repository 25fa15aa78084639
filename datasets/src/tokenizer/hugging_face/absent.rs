//! Without the `tokenizers` crate there is no such tokenizer.

use crate::error::Result;

#[derive(Clone, Debug)]
pub(in crate::tokenizer) enum HuggingFace {}

impl HuggingFace {
    pub(in crate::tokenizer) fn parse(_document: &str) -> Result<Self, String> {
        Err("not a byte-level BPE of a known kind; others need the feature `huggingface` of kiln-datasets"
            .into())
    }

    pub(in crate::tokenizer) fn encode(&self, _text: &str) -> Result<Vec<u32>> {
        match *self {}
    }

    #[cfg(feature = "prepare")]
    pub(in crate::tokenizer) fn find_no_special_tokens(&mut self) {
        match *self {}
    }

    pub(in crate::tokenizer) fn special_tokens(&self) -> Vec<(String, u32)> {
        match *self {}
    }

    pub(in crate::tokenizer) fn decode(&self, _tokens: &[u32]) -> Result<Vec<u8>> {
        match *self {}
    }

    pub(in crate::tokenizer) fn token_bytes(&self, _token: u32) -> Result<Vec<u8>> {
        match *self {}
    }

    pub(in crate::tokenizer) fn vocab_size(&self) -> usize {
        match *self {}
    }

    pub(in crate::tokenizer) fn id(&self, _token: &str) -> Option<u32> {
        match *self {}
    }

    pub(in crate::tokenizer) fn json(&self, _pretty: bool) -> Result<String> {
        match *self {}
    }
}
