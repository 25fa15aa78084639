//! The tokenizer in a GGUF file.

use std::path::Path;

use kiln_datasets::{GgufTokenizer, Tokenizer};
use kiln_model::{GgufVocabulary, load_gguf_vocabulary};

use crate::error::Result;

/// The tokenizer of the GGUF file at `path`.
///
/// # Errors
///
/// [`Error::Model`](crate::Error::Model) if it is no GGUF file, [`Error::Data`](crate::Error::Data) if it has no tokenizer or
/// one that cannot be used.
pub fn gguf_tokenizer(path: &Path) -> Result<Tokenizer> {
    let vocabulary = load_gguf_vocabulary(path)?.ok_or_else(|| kiln_datasets::Error::Format {
        path: path.to_owned(),
        reason: "no tokenizer in this file (`tokenizer.ggml.model` is missing)".to_owned(),
    })?;
    Ok(Tokenizer::from_gguf(&described(vocabulary), path)?)
}

/// The same in the words of the crate of tokenizers, which knows nothing of models.
fn described(vocabulary: GgufVocabulary) -> GgufTokenizer {
    let GgufVocabulary {
        tokens,
        special,
        user_defined,
        merges,
        pre_tokenizer,
        named,
        add_bos,
        chat_template,
    } = vocabulary;
    GgufTokenizer {
        tokens,
        special,
        added: user_defined,
        merges,
        pre_tokenizer,
        named,
        add_bos,
        chat_template,
    }
}
