//! The byte-level BPE that a `tokenizer.json` describes, where it is one that our encoder understands.

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::added::{AddedToken, AddedTokens};
use super::bpe::{Bpe, TokenBytes};
use super::byte_pairs::{pairs, splitting};
use super::encoder::Encoder;
use super::merge::Merges;
use super::normalizer::Normalizer;
use super::split::Splitting;
use super::{FROM_FILE, visible};

/// Names that an end-of-text token goes by.
pub(super) const END_OF_TEXT: [&str; 2] = ["<|endoftext|>", "</s>"];

/// The tokenizer that `json`, written as `text`, describes. It gives `text` back to leave the file to the
/// `tokenizers` crate: if it is of another kind, normalises or splits in a way of its own, adds tokens
/// that take the white space around them, or is wrong.
pub(super) fn byte_level(json: &Value, text: String) -> Result<Bpe, String> {
    match read(json) {
        Some((bpe, fingerprint)) => Ok(Bpe { file: Some((text, fingerprint)), ..bpe }),
        None => Err(text),
    }
}

fn read(json: &Value) -> Option<(Bpe, u64)> {
    let model = &json["model"];
    if !is_plain(json) {
        return None;
    }
    let normalizer = Normalizer::of(&json["normalizer"])?;
    let splitting = splitting(&json["pre_tokenizer"], false).ok()?;
    let ids = model["vocab"].as_object()?.iter();
    let ids = ids.map(|(token, id)| Some((token.as_str(), u32::try_from(id.as_u64()?).ok()?)));
    let vocabulary: Vocabulary<'_> = ids.collect::<Option<_>>()?;
    let added_tokens = added_tokens(&json["added_tokens"])?;
    let added: Vocabulary<'_> = added_tokens.iter().map(|token| (token.content.as_str(), token.id)).collect();
    let tokens = tokens_by_id(&vocabulary, &added)?;
    let merges = merges_by_rank(&model["merges"], &vocabulary)?;
    let ignore_merges = model["ignore_merges"] == true;
    let fingerprint = fingerprint(splitting, &tokens, &merges, ignore_merges, &added_tokens, normalizer);

    let merges = Merges::new(bytes(&vocabulary, model)?, &merges);
    let whole: Vec<(&[u8], u32)> = vocabulary
        .par_iter()
        .filter(|(token, _)| ignore_merges || !added.contains_key(*token))
        .map(|(_, id)| (tokens.get(*id), *id))
        .filter(|(bytes, id)| ignore_merges || makes(&merges, bytes, *id))
        .collect();
    let end_of_text =
        END_OF_TEXT.iter().find_map(|name| added.get(name).or_else(|| vocabulary.get(name)).copied());
    let encoder = Encoder::new(splitting, merges, &whole);
    let added = AddedTokens::new(added_tokens, normalizer);
    let bpe = Bpe { name: FROM_FILE, encoder, end_of_text, added, tokens, file: None };
    Some((bpe, fingerprint))
}

/// The id of each token, as the file writes it.
type Vocabulary<'a> = FxHashMap<&'a str, u32>;

/// A pair of tokens that joins, and the token it makes.
type Merge = (u32, u32, u32);

/// Whether it is a byte-level BPE without any step that would change what it encodes.
fn is_plain(json: &Value) -> bool {
    let model = &json["model"];
    let unused = |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || value == "";
    ["dropout", "continuing_subword_prefix", "end_of_word_suffix"].iter().all(|key| unused(&model[key]))
        && model["type"] == "BPE"
        && json["decoder"]["type"] == "ByteLevel"
}

/// The token of each byte. One without a token disappears from a text, unless something else stands in for it.
fn bytes(vocabulary: &Vocabulary<'_>, model: &Value) -> Option<[Option<u32>; 256]> {
    let bytes: [Option<u32>; 256] =
        std::array::from_fn(|byte| vocabulary.get(visible::of_bytes(&[byte as u8]).as_str()).copied());
    let replaces = model["unk_token"].is_string() || model["byte_fallback"] == true;
    (!replaces || bytes.iter().all(Option::is_some)).then_some(bytes)
}

/// The bytes of every token, if each id from zero on is used, and once.
fn tokens_by_id(vocabulary: &Vocabulary<'_>, added: &Vocabulary<'_>) -> Option<TokenBytes> {
    let size = vocabulary.len() + added.keys().filter(|token| !vocabulary.contains_key(*token)).count();
    let mut tokens = vec![None; size];
    for (token, id) in vocabulary.iter().chain(added) {
        let bytes = match added.get(token) {
            Some(_) => token.as_bytes().to_vec(),
            None => visible::to_bytes(token)?,
        };
        *tokens.get_mut(*id as usize)? = Some(bytes);
    }
    Some(tokens.into_iter().collect::<Option<Vec<_>>>()?.into_iter().collect())
}

/// The merges as ids, the most eager first.
fn merges_by_rank(merges: &Value, vocabulary: &Vocabulary<'_>) -> Option<Vec<Merge>> {
    let id = |token: &str| vocabulary.get(token).copied();
    let merges = pairs(merges)?;
    merges.iter().map(|(left, right)| Some((id(left)?, id(right)?, id(&format!("{left}{right}"))?))).collect()
}

/// A number that two files share only if they encode alike.
fn fingerprint(
    splitting: Splitting,
    tokens: &TokenBytes,
    merges: &[Merge],
    ignore_merges: bool,
    added: &[AddedToken],
    normalizer: Normalizer,
) -> u64 {
    let mut digest = Xxh3::new();
    digest.update(splitting.pattern().as_bytes());
    tokens.iter().for_each(|token| {
        digest.update(&(token.len() as u32).to_le_bytes());
        digest.update(token);
    });
    let numbers = merges.iter().flat_map(|(left, right, _)| [*left, *right]);
    let special = added.iter().filter(|token| token.special).map(|token| token.id);
    numbers.chain(special).for_each(|number| digest.update(&number.to_le_bytes()));
    for token in added.iter().filter(|token| !token.special) {
        digest.update(&[u8::from(token.normalized)]);
        digest.update(&token.id.to_le_bytes());
    }
    // Nothing where nothing is set: corpora that were prepared before keep their number.
    if ignore_merges {
        digest.update(b"ignore_merges");
    }
    if normalizer == Normalizer::Nfc {
        digest.update(b"NFC");
    }
    digest.digest()
}

/// Whether a token's bytes join to that token, as they do in every vocabulary that was learned.
fn makes(merges: &Merges, bytes: &[u8], token: u32) -> bool {
    let mut made = Vec::new();
    merges.encode(bytes, &mut made);
    made == [token]
}

/// Added tokens, if all of them are taken as they are written.
fn added_tokens(added: &Value) -> Option<Vec<AddedToken>> {
    let tokens = added.as_array().map_or(&[][..], Vec::as_slice).iter().map(|token| {
        let as_written = ["lstrip", "rstrip", "single_word"].iter().all(|key| token[key] != true);
        let content = token["content"].as_str().filter(|content| !content.is_empty())?;
        let id = u32::try_from(token["id"].as_u64()?).ok()?;
        let (special, normalized) = (token["special"] == true, token["normalized"] == true);
        as_written.then(|| AddedToken { content: content.to_owned(), id, special, normalized })
    });
    tokens.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenizers::Tokenizer as HfTokenizer;

    use super::*;
    use crate::Tokenizer;

    const TEXTS: [&str; 4] = [
        "First Citizen:\nBefore we proceed any further, hear me speak. It's naïve — 你好 🦀!  \n\n ",
        "<|endoftext|>Once<|endoftext|><|endoftext|> upon <|endoftext| > a time",
        "\u{301}ABC x\u{a0}y ٣٤٥٦  WE'LL\r\n\r\n   aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "",
    ];

    fn documents() -> Vec<String> {
        let learned = Tokenizer::train_bpe([crate::tales::corpus(1, 40_000).text()], 700).expect("room");
        let document = |tokenizer: &Tokenizer| super::super::document::document(tokenizer).expect("written");
        let named = ["gpt2", "cl100k_base"].map(|name| document(&Tokenizer::open(name).expect("embedded")));
        [document(&learned)].into_iter().chain(named).collect()
    }

    fn byte_level(document: &str) -> Option<Bpe> {
        super::byte_level(&serde_json::from_str(document).expect("JSON"), document.to_owned()).ok()
    }

    #[test]
    fn ids_are_those_of_the_tokenizers_crate() {
        for document in documents() {
            let ours = byte_level(&document).expect("ours");
            let theirs: HfTokenizer = document.parse().expect("readable");
            for text in TEXTS {
                let ids = theirs.encode(text, false).expect("encodes").get_ids().to_vec();
                assert_eq!(ours.encode_with_special_tokens(text), ids, "{text:?}");
                assert_eq!(ours.decode(&ids), text.as_bytes());
                assert_eq!(ours.decode(&ours.encode(text)), text.as_bytes());
            }
            assert_eq!(ours.tokens.len(), theirs.get_vocab_size(true));
        }
    }

    #[test]
    fn what_we_do_not_understand_is_left_to_the_crate() {
        let document: Value = serde_json::from_str(&documents()[0]).expect("JSON");
        for (pointer, value) in [
            ("/normalizer", json!({"type": "Lowercase"})),
            ("/decoder", Value::Null),
            ("/pre_tokenizer/add_prefix_space", json!(true)),
            ("/pre_tokenizer", json!({"type": "Whitespace"})),
            ("/model/dropout", json!(0.1)),
            ("/model/end_of_word_suffix", json!("</w>")),
            ("/added_tokens/0/lstrip", json!(true)),
            ("/added_tokens/0/id", json!(100_000)),
        ] {
            let mut changed = document.clone();
            *changed.pointer_mut(pointer).expect("there") = value;
            assert!(byte_level(&changed.to_string()).is_none(), "{pointer}");
        }
    }
}
