//! The vocabulary of a GGUF file.

use std::path::Path;

use super::file::Gguf;
use super::special_tokens::named;
use crate::error::Result;
use crate::weights::gguf::GgufVocabulary;
use crate::weights::gguf::vocabulary::{CONTROL, UNKNOWN, UNUSED, USER_DEFINED};
use crate::weights::mapped::MappedFile;

/// What tokens are for, in GGUF's words (it does spell one of them so).
const NAMES: [&str; 9] = ["bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "cls", "mask"];

/// The vocabulary of the GGUF file at `path`; `None` if it has none.
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) if there is no such file, [`Error::Format`](crate::Error::Format) if it is no GGUF
/// file, or its vocabulary is not a byte-level BPE.
pub fn load_gguf_vocabulary(path: &Path) -> Result<Option<GgufVocabulary>> {
    let file = MappedFile::open(path)?;
    read(&Gguf::read(&file)?)
}

fn read(gguf: &Gguf<'_>) -> Result<Option<GgufVocabulary>> {
    const MODEL: &str = "tokenizer.ggml.model";
    let metadata = &gguf.metadata;
    match metadata.text(MODEL)? {
        None | Some("none" | "no_vocab") => return Ok(None),
        Some("gpt2") => {}
        Some(_) => {
            let found = metadata.told(MODEL);
            return Err(gguf.wrong(format!("{found} is not supported; expected \"gpt2\", a byte-level BPE")));
        }
    }
    let needed = |key: &str| gguf.wrong(metadata.told(key));
    let texts = |key: &str| metadata.texts(key)?.ok_or_else(|| needed(key));
    let (tokens, merges) = (texts("tokenizer.ggml.tokens")?, metadata.texts("tokenizer.ggml.merges")?);
    if tokens.is_empty() {
        return Err(gguf.wrong("`tokenizer.ggml.tokens` is empty"));
    }
    const PRE_TOKENIZER: &str = "tokenizer.ggml.pre";
    let pre_tokenizer = metadata.text(PRE_TOKENIZER)?.ok_or_else(|| needed(PRE_TOKENIZER))?;
    const TYPES: &str = "tokenizer.ggml.token_type";
    let types = metadata.wholes(TYPES)?.unwrap_or_default();
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(gguf.wrong(format!("{}, but there are {} tokens", metadata.told(TYPES), tokens.len())));
    }
    let is_one_of = |id: usize, kinds: &[i32]| {
        types.get(id).is_some_and(|found| kinds.iter().any(|kind| *kind as u64 == *found))
    };
    // Fillers at the end, for a model that has more rows than its tokenizer has tokens.
    let used = (0..tokens.len()).rev().find(|id| !is_one_of(*id, &[UNUSED])).map_or(0, |last| last + 1);
    let of_kind = |kinds: &[i32]| (0..used).filter(|id| is_one_of(*id, kinds)).map(|id| id as u32).collect();
    let mut with_names = Vec::new();
    for name in NAMES {
        with_names
            .extend(named(gguf, name)?.filter(|token| (*token as usize) < used).map(|token| (name, token)));
    }
    Ok(Some(GgufVocabulary {
        tokens: tokens[..used].iter().map(|token| (*token).to_owned()).collect(),
        special: of_kind(&[CONTROL, UNKNOWN, UNUSED]),
        user_defined: of_kind(&[USER_DEFINED]),
        merges: merges.unwrap_or_default().into_iter().map(str::to_owned).collect(),
        pre_tokenizer: pre_tokenizer.to_owned(),
        named: with_names,
        // Old files of Llama 3 leave it to the name.
        add_bos: metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(pre_tokenizer.starts_with("llama")),
        chat_template: metadata.text("tokenizer.chat_template")?.map(str::to_owned),
    }))
}
