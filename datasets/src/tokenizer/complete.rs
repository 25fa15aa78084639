//! A `tokenizer.json` that says by itself what the files beside it add, and does nothing to a corpus but
//! encode it.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

use super::companions::{Companions, added_token};

/// Most ids below the largest that nothing may use: what lies beyond is a mistake, and would cost memory.
const MOST_UNUSED: usize = 1 << 16;

/// Completes `document`, and returns whether that changed it.
///
/// Truncation and padding are what the last caller wanted of its batches; transformers passes over them, too.
/// Dropout would give a text other tokens each time.
pub(super) fn complete(document: &mut Value, companions: &Companions) -> Result<bool, String> {
    let mut changed = false;
    for pointer in ["/truncation", "/padding", "/model/dropout"] {
        if let Some(value) = document.pointer_mut(pointer).filter(|value| !value.is_null()) {
            *value = Value::Null;
            changed = true;
        }
    }
    if let Some(wanted) = companions.space_before_text()
        && document["pre_tokenizer"]["type"] == "ByteLevel"
        && document["pre_tokenizer"]["add_prefix_space"] != wanted
    {
        document["pre_tokenizer"]["add_prefix_space"] = json!(wanted);
        changed = true;
    }
    let missing = missing(document, companions)?;
    changed |= !missing.is_empty();
    add(document, missing);
    let unused = unused(document)?;
    changed |= !unused.is_empty();
    fill(document, unused);
    Ok(changed)
}

/// The id of a token, special or not.
pub(super) fn id_of(document: &Value, token: &str) -> Option<u32> {
    let added = document["added_tokens"].as_array().into_iter().flatten();
    let added = added.filter(|entry| entry["content"] == token).find_map(|entry| entry["id"].as_u64());
    let id = added.or_else(|| match &document["model"]["vocab"] {
        Value::Object(vocabulary) => vocabulary.get(token)?.as_u64(),
        Value::Array(pieces) => pieces.iter().position(|piece| piece[0] == token).map(|at| at as u64),
        _ => None,
    });
    id.and_then(|id| u32::try_from(id).ok())
}

/// Every token with its id.
fn ids(document: &Value) -> FxHashMap<&str, u64> {
    let mut ids = FxHashMap::default();
    match &document["model"]["vocab"] {
        Value::Object(vocabulary) => {
            ids.extend(vocabulary.iter().filter_map(|(token, id)| Some((token.as_str(), id.as_u64()?))));
        }
        Value::Array(pieces) => {
            ids.extend((0..).zip(pieces).filter_map(|(id, piece)| Some((piece[0].as_str()?, id))));
        }
        _ => {}
    }
    let added = document["added_tokens"].as_array().into_iter().flatten();
    ids.extend(added.filter_map(|entry| Some((entry["content"].as_str()?, entry["id"].as_u64()?))));
    ids
}

/// Tokens of the companions that the document does not list. One that its vocabulary has keeps that id, and one
/// without an id gets the next.
fn missing(document: &Value, companions: &Companions) -> Result<Vec<Value>, String> {
    let listed = document["added_tokens"].as_array().into_iter().flatten();
    let mut listed: FxHashSet<&str> = listed.filter_map(|entry| entry["content"].as_str()).collect();
    let (stated, special) = (companions.added()?, companions.special());
    let contents = stated.iter().filter_map(|entry| entry["content"].as_str());
    if contents.chain(special.iter().copied()).all(|content| listed.contains(content)) {
        return Ok(Vec::new());
    }
    let ids = ids(document);
    let mut users: FxHashMap<u64, &str> = ids.iter().map(|(token, id)| (*id, *token)).collect();
    let mut missing = Vec::new();
    for entry in &stated {
        let content = entry["content"].as_str().unwrap_or_default();
        if !listed.insert(content) {
            continue;
        }
        let mut entry = entry.clone();
        match ids.get(content) {
            Some(id) => entry["id"] = json!(id),
            None => {
                let id = entry["id"].as_u64().unwrap_or_default();
                if let Some(user) = users.insert(id, content) {
                    return Err(format!("id {id} is that of {user:?}, and of the added token {content:?}"));
                }
            }
        }
        missing.push(entry);
    }
    let mut next = users.keys().max().map_or(0, |largest| largest + 1);
    for content in special {
        if listed.insert(content) {
            let id = ids.get(content).copied().unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            let id = u32::try_from(id).map_err(|_| format!("{id}, of {content:?}, is not a token id"))?;
            missing.push(added_token(content, id, true));
        }
    }
    Ok(missing)
}

/// Ids below the largest that no token has.
fn unused(document: &Value) -> Result<Vec<u32>, String> {
    let ids = ids(document);
    let Some((token, largest)) = ids.iter().max_by_key(|(_, id)| **id) else { return Ok(Vec::new()) };
    let used: FxHashSet<u64> = ids.values().copied().collect();
    if *largest >= (used.len() + MOST_UNUSED) as u64 || u32::try_from(*largest).is_err() {
        let reason = format!("id {largest} of {token:?} leaves a gap: there are only {} tokens", used.len());
        return Err(reason);
    }
    Ok((0..*largest as u32).filter(|id| !used.contains(&u64::from(*id))).collect())
}

/// A token for each unused id, so that the number of tokens is one more than the largest id.
fn fill(document: &mut Value, unused: Vec<u32>) {
    let name = |id: u32| format!("<|unused_{id}|>");
    let mut beyond = Vec::new();
    // The `tokenizers` crate numbers added tokens itself, from the end of the vocabulary on.
    match document.pointer_mut("/model/vocab") {
        Some(Value::Object(vocabulary)) => {
            let end = vocabulary.values().filter_map(Value::as_u64).max().unwrap_or(0);
            for id in unused {
                if u64::from(id) < end {
                    vocabulary.insert(name(id), json!(id));
                } else {
                    beyond.push(added_token(&name(id), id, true));
                }
            }
        }
        _ => beyond.extend(unused.into_iter().map(|id| added_token(&name(id), id, true))),
    }
    add(document, beyond);
}

/// Adds tokens in the order of their ids.
fn add(document: &mut Value, new: Vec<Value>) {
    if new.is_empty() {
        return;
    }
    let mut tokens = document["added_tokens"].as_array().cloned().unwrap_or_default();
    tokens.extend(new);
    tokens.sort_by_key(|entry| entry["id"].as_u64());
    document["added_tokens"] = Value::Array(tokens);
}
