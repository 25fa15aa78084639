//! The vocabulary, which GGUF holds beside the weights.

use super::write::Entries;

// The types of tokens.
const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
pub(super) const UNUSED: i32 = 5;

/// A byte-level BPE as GGUF describes it.
#[derive(Clone, Debug)]
pub struct GgufVocabulary {
    /// Tokens in the order of their ids, bytes written as GPT-2's visible characters.
    pub tokens: Vec<String>,
    /// Ids of tokens that stand for no text, such as end-of-text.
    pub special: Vec<u32>,
    /// Ids of tokens that stand for text as it is written, whatever would be merged.
    pub user_defined: Vec<u32>,
    /// Pairs of tokens, the most eager first, each joined by a space.
    pub merges: Vec<String>,
    /// How text is split before merging, by llama.cpp's name: `gpt-2`, `gpt-4o`, …
    pub pre_tokenizer: String,
    /// Ids of tokens by what they are for, in GGUF's words: `bos`, `eos`, `padding`, …
    pub named: Vec<(&'static str, u32)>,
    /// Whether a text begins with the token `bos`.
    pub add_bos: bool,
    /// How a conversation becomes a text, as a Jinja template.
    pub chat_template: Option<String>,
}

impl GgufVocabulary {
    /// Adds the vocabulary of a model that has `vocab_size` rows.
    pub(super) fn describe(&self, vocab_size: usize, entries: &mut Entries) {
        // A model may have more rows than its tokenizer has tokens, for instance to fill up a multiple of 64.
        let fillers = (self.tokens.len()..vocab_size).map(|id| format!("[PAD{id}]"));
        let tokens: Vec<String> = self.tokens.iter().cloned().chain(fillers).collect();
        let kinds = (0..tokens.len()).map(|id| match id {
            id if id >= self.tokens.len() => UNUSED,
            id if self.special.contains(&(id as u32)) => CONTROL,
            id if self.user_defined.contains(&(id as u32)) => USER_DEFINED,
            _ => NORMAL,
        });
        entries.string("tokenizer.ggml.model", "gpt2");
        entries.string("tokenizer.ggml.pre", &self.pre_tokenizer);
        entries.strings("tokenizer.ggml.tokens", &tokens);
        entries.i32s("tokenizer.ggml.token_type", kinds);
        entries.strings("tokenizer.ggml.merges", &self.merges);
        for (name, token) in self.named.iter().filter(|(_, token)| (*token as usize) < vocab_size) {
            entries.u32(&format!("tokenizer.ggml.{name}_token_id"), *token);
        }
        entries.bool("tokenizer.ggml.add_bos_token", self.add_bos);
        if let Some(template) = &self.chat_template {
            entries.string("tokenizer.chat_template", template);
        }
    }
}
