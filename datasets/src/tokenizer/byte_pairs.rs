//! A tokenizer as the plain lists of its tokens and merges, for file formats that do not know
//! `tokenizer.json`.

use std::collections::HashSet;

use serde_json::Value;

use super::char::CharTokenizer;
use super::document::document;
use super::split::Splitting;
use super::{Kind, Tokenizer, visible};
use crate::error::{Error, Result};

/// A byte-level BPE: bytes are written as GPT-2's visible characters, a space as `Ġ`.
#[derive(Clone, Debug, PartialEq)]
pub struct BytePairs {
    /// Tokens in the order of their ids.
    pub tokens: Vec<String>,
    /// Ids of tokens that stand for no text, such as end-of-text.
    pub special: Vec<u32>,
    /// Ids of tokens that were added as they are written, and stand for that text.
    pub added: Vec<u32>,
    /// Pairs of parts that join, the most eager first.
    pub merges: Vec<(String, String)>,
    /// How text is split before anything joins.
    pub splitting: Splitting,
}

impl Tokenizer {
    /// The tokenizer as a list of byte-level tokens and merges.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for a `tokenizer.json` of another kind, or one that splits text in a way of its own.
    pub fn byte_pairs(&self) -> Result<BytePairs> {
        if let Kind::Char(characters) = &self.kind {
            return Ok(of_characters(characters));
        }
        let json: Value = serde_json::from_str(&document(self)?).expect("a document that was just written");
        parse(&json).map_err(|reason| Error::format("tokenizer.json", reason))
    }
}

/// Each character is a token; one of several bytes is joined byte by byte from the left. What stands between
/// is no token, so nothing but whole characters remains.
fn of_characters(tokenizer: &CharTokenizer) -> BytePairs {
    let characters = tokenizer.characters().iter();
    let mut tokens: Vec<String> =
        characters.map(|character| visible::of_bytes(character.to_string().as_bytes())).collect();
    let (mut merges, mut known) = (Vec::new(), HashSet::new());
    for token in &tokens {
        for (at, next) in token.char_indices().skip(1) {
            let merge = (token[..at].to_owned(), next.to_string());
            if known.insert(merge.clone()) {
                merges.push(merge);
            }
        }
    }
    tokens.extend(tokenizer.special().map(|token| token.content.clone()));
    let special = tokenizer.special().map(|token| token.id).collect();
    BytePairs { tokens, special, added: Vec::new(), merges, splitting: Splitting::Gpt2 }
}

fn parse(json: &Value) -> std::result::Result<BytePairs, String> {
    let model = &json["model"];
    let vocabulary = model["vocab"].as_object().filter(|_| model["type"] == "BPE");
    let vocabulary = vocabulary.ok_or("not a BPE")?;
    let added = json["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);

    let size = vocabulary.len()
        + added
            .iter()
            .filter(|token| !vocabulary.contains_key(token["content"].as_str().unwrap_or("")))
            .count();
    let mut tokens = vec![None; size];
    let added_tokens = added.iter().map(|token| (token["content"].as_str(), &token["id"]));
    for (token, id) in vocabulary.iter().map(|(token, id)| (Some(token.as_str()), id)).chain(added_tokens) {
        let place = id.as_u64().and_then(|id| tokens.get_mut(usize::try_from(id).ok()?));
        let place = place.ok_or_else(|| format!("id {id} of {token:?} leaves a gap before it"))?;
        *place = token.map(str::to_owned);
    }
    let tokens = tokens.into_iter().collect::<Option<Vec<_>>>().ok_or("two tokens share an id")?;
    let ids = |special: bool| {
        let tokens = added.iter().filter(move |token| (token["special"] == true) == special);
        tokens.filter_map(|token| token["id"].as_u64()).map(|id| id as u32).collect()
    };

    let merges = pairs(&model["merges"]).ok_or("a merge is not a pair")?;
    Ok(BytePairs {
        tokens,
        special: ids(true),
        added: ids(false),
        splitting: splitting(&json["pre_tokenizer"], merges.is_empty())?,
        merges,
    })
}

/// The pairs of a `tokenizer.json`, in either of the two ways to write them.
pub(super) fn pairs(merges: &Value) -> Option<Vec<(String, String)>> {
    let pairs = merges.as_array()?.iter().map(|merge| match merge {
        Value::String(pair) => pair.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())),
        pair => Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned())),
    });
    pairs.collect()
}

/// The pattern of a pre-tokenizer. `single_bytes`: nothing joins, so that any will do.
pub(super) fn splitting(pre_tokenizer: &Value, single_bytes: bool) -> std::result::Result<Splitting, String> {
    let steps = match pre_tokenizer["type"].as_str() {
        Some("Sequence") => pre_tokenizer["pretokenizers"].as_array().map_or(&[][..], Vec::as_slice),
        _ => std::slice::from_ref(pre_tokenizer),
    };
    let [before @ .., last] = steps else { return Err("no pre-tokenizer".to_owned()) };
    if last["type"] != "ByteLevel" || last["add_prefix_space"] != false {
        return Err(format!("not byte-level: {last}"));
    }
    let patterned = last["use_regex"] != false;
    match before {
        // Where nothing joins, how text was split makes no difference.
        [] if patterned || single_bytes => Ok(Splitting::Gpt2),
        [digits] if is_each_digit(digits) && patterned => Ok(Splitting::SmolLm),
        [split] if isolates(split) && !patterned => {
            let pattern = split["pattern"]["Regex"].as_str().and_then(Splitting::of_pattern);
            pattern.ok_or_else(|| format!("splits in a way of its own: {split}"))
        }
        _ => Err(format!("splits in a way of its own: {pre_tokenizer}")),
    }
}

/// Whether a step makes every digit a piece.
fn is_each_digit(step: &Value) -> bool {
    step["type"] == "Digits" && step["individual_digits"] == true
}

/// Whether a step makes every match, and all text between matches, a piece.
fn isolates(step: &Value) -> bool {
    let whole = step["behavior"] == "Isolated" && step["invert"] == false;
    // The patterns match all of a text, so that nothing is between.
    whole || step["behavior"] == "Removed" && step["invert"] == true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpt2_has_the_published_tokens_and_merges() {
        let pairs = Tokenizer::open("gpt2").expect("embedded").byte_pairs().expect("byte-level");
        assert_eq!((pairs.tokens.len(), pairs.merges.len()), (50_257, 50_000));
        assert_eq!((pairs.tokens[15496].as_str(), pairs.tokens[50_256].as_str()), ("Hello", "<|endoftext|>"));
        assert_eq!(pairs.merges[0], ("Ġ".to_owned(), "t".to_owned()), "the first line of GPT-2's merges.txt");
        assert_eq!((pairs.special, pairs.splitting), (vec![50_256], Splitting::Gpt2));
    }

    #[test]
    fn every_tokenizer_has_as_many_tokens_as_it_says() {
        let learned = Tokenizer::train_bpe(["so it goes, so it goes"], 270).expect("room");
        let named =
            ["byte", "cl100k_base", "o200k_base"].map(|name| Tokenizer::open(name).expect("embedded"));
        for tokenizer in named.into_iter().chain([learned]) {
            let pairs = tokenizer.byte_pairs().expect("byte-level");
            assert_eq!(pairs.tokens.len(), tokenizer.vocab_size(), "{}", tokenizer.name());
        }
    }

    #[test]
    fn characters_are_joined_from_their_bytes() {
        let pairs = Tokenizer::characters_of("aé 火").byte_pairs().expect("byte-level");
        assert_eq!(pairs.tokens, ["Ġ", "a", "Ã©", "çģ«"]);
        let merges: Vec<String> =
            pairs.merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
        assert_eq!(merges, ["Ã ©", "ç ģ", "çģ «"]);
    }
}
