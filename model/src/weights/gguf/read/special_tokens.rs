//! The tokens that begin, end and fill up texts.

use super::file::Gguf;
use crate::error::Result;
use crate::weights::SpecialTokens;

/// Tokens that end what a model says: a text, a turn of a conversation, a message within a turn.
const ENDS: [&str; 3] = ["eos", "eot", "eom"];

/// The special tokens of a file.
pub(super) fn of(gguf: &Gguf<'_>) -> Result<SpecialTokens> {
    let mut end = Vec::new();
    for token in ENDS {
        end.extend(named(gguf, token)?.filter(|token| !end.contains(token)));
    }
    Ok(SpecialTokens { begin: named(gguf, "bos")?, end, padding: named(gguf, "padding")? })
}

/// The token that GGUF calls so; some files write -1 for none.
pub(super) fn named(gguf: &Gguf<'_>, name: &str) -> Result<Option<u32>> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    if gguf.metadata.number(&key)? == Some(-1.0) {
        return Ok(None);
    }
    Ok(gguf.metadata.whole(&key)?.and_then(|token| u32::try_from(token).ok()))
}
