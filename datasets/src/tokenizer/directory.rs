//! Tokenizers on disk: Hugging Face's `tokenizer.json`, for every tokenizer there is.

use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::bpe::Bpe;
use super::char::CharTokenizer;
use super::hugging_face::HuggingFace;
use super::train::{END_OF_TEXT, Learned};
use super::{FROM_FILE, Kind, Tokenizer, file, published, visible};
use crate::error::{Error, Result};
use crate::file::write_file;

const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const CONFIG: &str = "tokenizer_config.json";
/// The files that a tokenizer is saved in.
pub(crate) const SAVED_FILES: [&str; 2] = [TOKENIZER, CONFIG];
/// Key in `tokenizer_config.json` that names one of our own tokenizers; transformers ignores it.
const OURS: &str = "kiln_tokenizer";

pub(super) fn holds_one(directory: &Path) -> bool {
    directory.join(TOKENIZER).is_file() || directory.join(VOCABULARY).is_file()
}

pub(super) fn read(directory: &Path) -> Result<Kind> {
    let path = directory.join(TOKENIZER);
    if path.is_file() {
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
        if let Some(kind) = read_ours(directory, &text)? {
            return Ok(kind);
        }
        return parse(text).map_err(|reason| Error::format(&path, reason));
    }
    let (vocabulary, merges) = (directory.join(VOCABULARY), directory.join(MERGES));
    if !vocabulary.is_file() || !merges.is_file() {
        let reason = "no tokenizer here (neither `tokenizer.json` nor `vocab.json` with `merges.txt`)";
        return Err(Error::format(directory, reason));
    }
    let text = std::fs::read_to_string(&vocabulary).map_err(Error::io(&vocabulary))?;
    let vocab: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| Error::format(&vocabulary, error.to_string()))?;
    let text = std::fs::read_to_string(&merges).map_err(Error::io(&merges))?;
    let pairs = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
    let pairs: Vec<Value> = pairs.map(|line| json!(line)).collect();
    // transformers takes this token for special without being told.
    let special =
        vocab.get(END_OF_TEXT).and_then(Value::as_u64).map(|id| (END_OF_TEXT.to_owned(), id as u32));
    let document =
        bpe_document(vocab, pairs, gpt2_splitter(), byte_level_decoder(), special.as_slice(), false);
    parse(document).map_err(|reason| Error::format(&vocabulary, reason))
}

/// Our encoder where it understands the file, else the crate that understands them all.
fn parse(document: String) -> std::result::Result<Kind, String> {
    match file::byte_level(&document) {
        Some(bpe) => Ok(Kind::Bpe(Arc::new(bpe))),
        None => HuggingFace::parse(&document).map(Kind::HuggingFace),
    }
}

/// A vocabulary that was just learned.
pub(super) fn of_learned(learned: &Learned) -> Bpe {
    let visible = |id: u32| visible::of_bytes(&learned.tokens[id as usize - 1]);
    let mut vocab = Map::from_iter([(END_OF_TEXT.to_owned(), json!(0))]);
    vocab.extend(
        (1..).zip(&learned.tokens).map(|(id, bytes): (u32, _)| (visible::of_bytes(bytes), json!(id))),
    );
    let merges =
        learned.merges.iter().map(|(left, right)| json!([visible(*left), visible(*right)])).collect();
    let special = [(END_OF_TEXT.to_owned(), 0)];
    let document = bpe_document(vocab, merges, gpt2_splitter(), byte_level_decoder(), &special, false);
    file::byte_level(&document).expect("a document in our own layout")
}

/// Our own tokenizers are recognised by the mark in `tokenizer_config.json` and read without the detour.
fn read_ours(directory: &Path, text: &str) -> Result<Option<Kind>> {
    let Ok(config) = std::fs::read_to_string(directory.join(CONFIG)) else { return Ok(None) };
    let Ok(config) = serde_json::from_str::<Value>(&config) else { return Ok(None) };
    match config.get(OURS).and_then(Value::as_str) {
        Some("byte") => Ok(Some(Kind::Byte)),
        Some("char") => {
            let path = directory.join(TOKENIZER);
            let json: Value =
                serde_json::from_str(text).map_err(|error| Error::format(&path, error.to_string()))?;
            read_characters(&json)
                .map(|characters| Some(Kind::Char(CharTokenizer::new(characters))))
                .ok_or_else(|| {
                    Error::format(&path, "the vocabulary is not one of single characters numbered from 0")
                })
        }
        Some(name) => Ok(published::by_name(name).map(Kind::Bpe)),
        None => Ok(None),
    }
}

fn read_characters(json: &Value) -> Option<Vec<char>> {
    let vocabulary = json.get("model")?.get("vocab")?.as_object()?;
    let mut characters = vec![None; vocabulary.len()];
    for (token, id) in vocabulary {
        let mut token = token.chars();
        let (character, end) = (token.next()?, token.next());
        *characters.get_mut(usize::try_from(id.as_u64()?).ok()?)? = end.is_none().then_some(character);
    }
    characters.into_iter().collect()
}

/// The text of a `tokenizer.json`.
pub(super) fn document(tokenizer: &Tokenizer) -> Result<String> {
    let numbered = |tokens: &mut dyn Iterator<Item = String>| -> Map<String, Value> {
        (0..).zip(tokens).map(|(id, token): (u32, _)| (token, json!(id))).collect()
    };
    Ok(match &tokenizer.0 {
        Kind::HuggingFace(theirs) => theirs.json(true)?,
        Kind::Char(characters) => {
            let vocab = numbered(&mut characters.characters().iter().map(char::to_string));
            bpe_document(vocab, Vec::new(), Value::Null, json!({"type": "Fuse"}), &[], false)
        }
        Kind::Byte => {
            let vocab = numbered(&mut (0..=255).map(|byte| visible::of_bytes(&[byte])));
            bpe_document(vocab, Vec::new(), byte_level_splitter(None), byte_level_decoder(), &[], false)
        }
        Kind::Bpe(bpe) => match &bpe.file {
            Some((document, _)) => document.clone(),
            None => {
                let special = special_tokens(bpe);
                let ordinary: Vec<&[u8]> = bpe.tokens.iter().take(special[0].1 as usize).collect();
                let merges =
                    merges(&ordinary).into_iter().map(|(left, right)| json!([left, right])).collect();
                let vocab = numbered(&mut ordinary.into_iter().map(visible::of_bytes));
                let splitter = byte_level_splitter(Some(bpe.encoder.splitting().pattern()));
                bpe_document(vocab, merges, splitter, byte_level_decoder(), &special, true)
            }
        },
    })
}

pub(super) fn write(tokenizer: &Tokenizer, directory: &Path) -> Result<()> {
    let text = document(tokenizer)?;
    std::fs::create_dir_all(directory).map_err(Error::io(directory))?;
    write_file(&directory.join(TOKENIZER), text)?;

    let mut config =
        json!({"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false});
    if !matches!(tokenizer.name(), FROM_FILE) {
        config[OURS] = json!(tokenizer.name());
    }
    if tokenizer.end_of_text().is_some() {
        config["eos_token"] = json!("<|endoftext|>");
        config["bos_token"] = json!("<|endoftext|>");
    }
    write_file(&directory.join(CONFIG), format!("{config:#}\n"))
}

/// The special tokens of a published tokenizer in the order of their ids, and fillers for ids that nothing
/// uses.
fn special_tokens(bpe: &Bpe) -> Vec<(String, u32)> {
    let named: FxHashMap<u32, &String> = bpe.special.iter().map(|(name, id)| (*id, name)).collect();
    (0..)
        .zip(bpe.tokens.iter())
        .filter(|(id, bytes)| bytes.is_empty() || named.contains_key(id))
        .map(|(id, _)| {
            (named.get(&id).map_or_else(|| format!("<|unused_{id}|>"), |name| (*name).clone()), id)
        })
        .collect()
}

/// A `tokenizer.json` of the BPE kind; without merges it stops at single symbols.
fn bpe_document(
    vocab: Map<String, Value>,
    merges: Vec<Value>,
    pre_tokenizer: Value,
    decoder: Value,
    special: &[(String, u32)],
    ignore_merges: bool,
) -> String {
    let added: Vec<Value> = special
        .iter()
        .map(|(token, id)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let document = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": ignore_merges,
            "vocab": vocab, "merges": merges,
        },
    });
    document.to_string()
}

fn gpt2_splitter() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})
}

fn byte_level_splitter(pattern: Option<&str>) -> Value {
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    match pattern {
        None => bytes,
        Some(pattern) => json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}, bytes,
        ]}),
    }
}

fn byte_level_decoder() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true})
}

/// The merge that makes each token: its bytes merged as far as the tokens before it allow, which leaves two
/// parts.
fn merges(tokens: &[&[u8]]) -> Vec<(String, String)> {
    let ranks: FxHashMap<&[u8], usize> = tokens.iter().copied().zip(0..).collect();
    let mut found = Vec::new();
    for (rank, token) in tokens.iter().enumerate().filter(|(_, token)| token.len() > 1) {
        let mut parts: Vec<&[u8]> = token.chunks(1).collect();
        while parts.len() > 2 {
            let joined = |at: usize| {
                let start = parts[..at].iter().map(|part| part.len()).sum::<usize>();
                &token[start..start + parts[at].len() + parts[at + 1].len()]
            };
            let best = (0..parts.len() - 1)
                .filter_map(|at| {
                    ranks.get(joined(at)).filter(|found| **found < rank).map(|found| (*found, at))
                })
                .min();
            let Some((_, at)) = best else { break };
            let whole = joined(at);
            parts.splice(at..at + 2, [whole]);
        }
        if let [left, right] = parts[..] {
            found.push((visible::of_bytes(left), visible::of_bytes(right)));
        }
    }
    found
}
