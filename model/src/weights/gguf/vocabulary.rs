//! The vocabulary, which GGUF holds beside the weights.

use super::entries::Entries;

/// A byte-level BPE as GGUF describes it.
#[derive(Clone, Debug)]
pub struct GgufVocabulary {
    /// Tokens in the order of their ids, bytes written as GPT-2's visible characters.
    pub tokens: Vec<String>,
    /// Ids of tokens that stand for no text, such as end-of-text.
    pub special: Vec<u32>,
    /// Pairs of tokens, the most eager first, each joined by a space.
    pub merges: Vec<String>,
    /// How text is split before merging, by llama.cpp's name: `gpt-2`, `gpt-4o`, …
    pub pre_tokenizer: String,
    /// The token that ends a text.
    pub end_of_text: Option<u32>,
}

impl GgufVocabulary {
    /// Adds the vocabulary of a model that has `vocab_size` rows.
    pub(super) fn describe(&self, vocab_size: usize, entries: &mut Entries) {
        const NORMAL: i32 = 1;
        const CONTROL: i32 = 3;
        const UNUSED: i32 = 5;
        // A model may have more rows than its tokenizer has tokens, for instance to fill up a multiple of 64.
        let fillers = (self.tokens.len()..vocab_size).map(|id| format!("[PAD{id}]"));
        let tokens: Vec<String> = self.tokens.iter().cloned().chain(fillers).collect();
        let kinds = (0..tokens.len()).map(|id| match id {
            id if id >= self.tokens.len() => UNUSED,
            id if self.special.contains(&(id as u32)) => CONTROL,
            _ => NORMAL,
        });
        entries.string("tokenizer.ggml.model", "gpt2");
        entries.string("tokenizer.ggml.pre", &self.pre_tokenizer);
        entries.strings("tokenizer.ggml.tokens", &tokens);
        entries.i32s("tokenizer.ggml.token_type", kinds);
        entries.strings("tokenizer.ggml.merges", &self.merges);
        if let Some(token) = self.end_of_text {
            entries.u32("tokenizer.ggml.bos_token_id", token);
            entries.u32("tokenizer.ggml.eos_token_id", token);
        }
        entries.bool("tokenizer.ggml.add_bos_token", false);
    }
}
