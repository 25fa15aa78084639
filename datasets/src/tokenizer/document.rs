//! The text of a `tokenizer.json`, for every tokenizer there is.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::bpe::Bpe;
use super::companions::{Companions, added_token};
use super::complete::id_of;
use super::train::{END_OF_TEXT, Learned};
use super::{Kind, Tokenizer, file, visible};
use crate::error::Result;

/// The text of a `tokenizer.json`.
pub(super) fn document(tokenizer: &Tokenizer) -> Result<String> {
    let numbered = |tokens: &mut dyn Iterator<Item = String>| -> Map<String, Value> {
        (0..).zip(tokens).map(|(id, token): (u32, _)| (token, json!(id))).collect()
    };
    Ok(match &tokenizer.kind {
        Kind::HuggingFace(theirs) => theirs.json(true)?,
        Kind::Char(characters) => {
            let vocab = numbered(&mut characters.characters().iter().map(char::to_string));
            let special =
                characters.special().map(|token| (token.content.clone(), token.id)).collect::<Vec<_>>();
            bpe_document(vocab, Vec::new(), Value::Null, json!({"type": "Fuse"}), &special, false).to_string()
        }
        Kind::Byte => {
            let vocab = numbered(&mut (0..=255).map(|byte| visible::of_bytes(&[byte])));
            let splitter = byte_level_splitter(None);
            bpe_document(vocab, Vec::new(), splitter, byte_level_decoder(), &[], false).to_string()
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
                bpe_document(vocab, merges, splitter, byte_level_decoder(), &special, true).to_string()
            }
        },
    })
}

/// Every byte, with a splitter that makes no difference, as nothing joins, but that our encoder understands.
pub(super) fn bytes_document() -> Value {
    let vocab = (0..=255_u8).map(|byte| (visible::of_bytes(&[byte]), json!(byte))).collect();
    bpe_document(vocab, Vec::new(), gpt2_splitter(), byte_level_decoder(), &[], false)
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
    file::byte_level(&document, document.to_string()).expect("a document in our own layout")
}

/// A GPT-2 tokenizer as older programs keep it: `vocab.json`, and the lines of `merges.txt`.
pub(super) fn of_lists(vocabulary: Map<String, Value>, merges: &str, companions: &Companions) -> Value {
    let merges = merges.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
    let merges: Vec<Value> = merges.map(|line| json!(line)).collect();
    // transformers takes this token for special without being told.
    let id = vocabulary.get(END_OF_TEXT).and_then(Value::as_u64);
    let special = id.map(|id| (END_OF_TEXT.to_owned(), id as u32));
    let mut splitter = gpt2_splitter();
    splitter["add_prefix_space"] = json!(companions.flag("add_prefix_space") == Some(true));
    bpe_document(vocabulary, merges, splitter, byte_level_decoder(), special.as_slice(), false)
}

/// The post-processor that `add_bos_token` and `add_eos_token` ask for where there is no `tokenizer.json` to say
/// it.
pub(super) fn template(document: &Value, companions: &Companions) -> Value {
    let token = |flag: &str, role: &str| {
        let name = companions.token(role).unwrap_or(END_OF_TEXT);
        companions.flag(flag).filter(|wanted| *wanted).and_then(|_| Some((name, id_of(document, name)?)))
    };
    let (first, last) = (token("add_bos_token", "bos_token"), token("add_eos_token", "eos_token"));
    let known: Map<String, Value> = [first, last]
        .into_iter()
        .flatten()
        .map(|(name, id)| (name.to_owned(), json!({"id": name, "ids": [id], "tokens": [name]})))
        .collect();
    if known.is_empty() {
        return Value::Null;
    }
    let around = |text: &str| {
        let special = |(name, _): (&str, u32)| json!({"SpecialToken": {"id": name, "type_id": 0}});
        let text = json!({"Sequence": {"id": text, "type_id": 0}});
        let pieces = first.map(special).into_iter().chain([text]).chain(last.map(special));
        pieces.collect::<Vec<_>>()
    };
    let (single, pair) = (around("A"), [around("A"), around("B")].concat());
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": known})
}

/// The special tokens of a published tokenizer in the order of their ids, and fillers for ids that nothing
/// uses.
fn special_tokens(bpe: &Bpe) -> Vec<(String, u32)> {
    let named: FxHashMap<u32, &String> = bpe.added.iter().map(|token| (token.id, &token.content)).collect();
    (0..)
        .zip(bpe.tokens.iter())
        .filter(|(id, bytes)| bytes.is_empty() || named.contains_key(id))
        .map(|(id, _)| {
            (named.get(&id).map_or_else(|| format!("<|unused_{id}|>"), |name| (*name).clone()), id)
        })
        .collect()
}

/// A `tokenizer.json` of the BPE kind; without merges it stops at single symbols.
pub(super) fn bpe_document(
    vocab: Map<String, Value>,
    merges: Vec<Value>,
    pre_tokenizer: Value,
    decoder: Value,
    special: &[(String, u32)],
    ignore_merges: bool,
) -> Value {
    let added: Vec<Value> = special.iter().map(|(token, id)| added_token(token, *id, true)).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": ignore_merges,
            "vocab": vocab, "merges": merges,
        },
    })
}

pub(super) fn gpt2_splitter() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})
}

pub(super) fn byte_level_splitter(pattern: Option<&str>) -> Value {
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    match pattern {
        None => bytes,
        Some(pattern) => json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}, bytes,
        ]}),
    }
}

pub(super) fn byte_level_decoder() -> Value {
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
