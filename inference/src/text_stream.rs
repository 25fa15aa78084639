//! Tokens that arrive one by one, as text.

use kiln_datasets::{StreamDecoder, Tokenizer};

use crate::stop::StopStrings;

/// The text of tokens: whole characters, up to a string that ends it.
#[derive(Debug)]
pub(crate) struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    decoder: StreamDecoder,
    stop: StopStrings,
}

impl<'a> TextStream<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer, stop: StopStrings) -> Self {
        Self { tokenizer, decoder: StreamDecoder::default(), stop }
    }

    pub(crate) fn tokenizer(&self) -> &'a Tokenizer {
        self.tokenizer
    }

    /// What `token` adds.
    pub(crate) fn push(&mut self, token: u32) -> String {
        // An id that the tokenizer leaves out has no text.
        let bytes = self.tokenizer.token_bytes(token).unwrap_or_default();
        let piece = self.decoder.push(&bytes);
        self.stop.push(&piece)
    }

    /// Whether a string ended the text.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.is_found()
    }

    /// What was held back, at the end of the text.
    pub(crate) fn finish(&mut self) -> String {
        let rest = self.decoder.finish();
        let rest = self.stop.push(&rest);
        rest + &self.stop.finish()
    }
}
