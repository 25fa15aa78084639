//! Tokenizers on disk: Hugging Face's `tokenizer.json`, for every tokenizer there is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::char::CharTokenizer;
use super::chat::with_config;
use super::companions::{CHAT_TEMPLATE, CONFIG, Companions, read_text};
use super::complete::complete;
use super::document::{document, of_lists, template};
use super::hugging_face::HuggingFace;
use super::special::SpecialTokens;
use super::{FROM_FILE, Kind, Tokenizer, file, published};
use crate::error::{Error, Result};
use crate::file::write_file;

pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const VOCABULARY: &str = "vocab.json";
pub(super) const MERGES: &str = "merges.txt";
/// The files that a tokenizer is saved in.
pub(crate) const SAVED_FILES: [&str; 2] = [TOKENIZER, CONFIG];
/// Key in `tokenizer_config.json` that names one of our own tokenizers; transformers ignores it.
pub(super) const OURS: &str = "kiln_tokenizer";

pub(super) fn holds_one(directory: &Path) -> bool {
    directory.join(TOKENIZER).is_file() || directory.join(VOCABULARY).is_file()
}

/// Reads the tokenizer in a directory, or the `tokenizer.json` of that path.
pub(super) fn read(path: &Path) -> Result<Tokenizer> {
    let (directory, main) = match path.is_dir() || !path.exists() {
        true => (path, path.join(TOKENIZER)),
        false => (path.parent().unwrap_or(path), path.to_owned()),
    };
    let companions = Companions::read(directory)?;
    if main == path || main.is_file() {
        let text = read_text(&main)?;
        return match ours(&companions, &text, &main)? {
            Some(kind) => with_config(kind, companions.config),
            None => {
                let json: Value = parse_json(&main, &text)?;
                of_document(json, Some(text), companions, &main)
            }
        };
    }
    let (vocabulary, merges) = lists(directory)?;
    let json =
        of_lists(parse_json(&vocabulary, &read_text(&vocabulary)?)?, &read_text(&merges)?, &companions);
    of_document(json, None, companions, &vocabulary)
}

/// Where the lists of a tokenizer are that has no `tokenizer.json`.
fn lists(directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let (vocabulary, merges) = (directory.join(VOCABULARY), directory.join(MERGES));
    if vocabulary.is_file() && merges.is_file() {
        return Ok((vocabulary, merges));
    }
    let foreign = ["tokenizer.model", "spiece.model", "vocab.txt"];
    let reason = match foreign.into_iter().find(|name| directory.join(name).is_file()) {
        Some(name) => format!(
            "`{name}` alone cannot be read; a `tokenizer.json` can, which transformers' \
             `AutoTokenizer.from_pretrained(…).save_pretrained(…)` writes"
        ),
        None => "no tokenizer here (neither `tokenizer.json` nor `vocab.json` with `merges.txt`)".to_owned(),
    };
    Err(Error::format(directory, reason))
}

pub(super) fn parse_json<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::format(path, error.to_string()))
}

/// The tokenizer that a `tokenizer.json` and its companions describe; `text` is how it was written, if it was.
pub(super) fn of_document(
    mut json: Value,
    text: Option<String>,
    companions: Companions,
    path: &Path,
) -> Result<Tokenizer> {
    let refuse = |reason| Error::format(path, reason);
    if !json["model"].is_object() {
        return Err(refuse("not a tokenizer: it has no `model`".to_owned()));
    }
    let changed = complete(&mut json, &companions).map_err(refuse)?;
    if text.is_none() {
        json["post_processor"] = template(&json, &companions);
    }
    let text = text.filter(|_| !changed).unwrap_or_else(|| json.to_string());
    let special = SpecialTokens::of(&json, companions);
    let kind = parse(&json, text).map_err(refuse)?;
    let tokenizer = Tokenizer { kind, special: Arc::new(special) };
    let vocab_size = tokenizer.vocab_size();
    match tokenizer.start_of_text().iter().find(|token| **token as usize >= vocab_size) {
        Some(token) => Err(refuse(format!("texts begin with token {token}, but there are {vocab_size}"))),
        None => Ok(tokenizer),
    }
}

/// Our encoder where it understands the file, else the crate that understands them all.
fn parse(json: &Value, text: String) -> std::result::Result<Kind, String> {
    let text = match file::byte_level(json, text) {
        Ok(bpe) => return Ok(Kind::Bpe(Arc::new(bpe))),
        Err(text) => text,
    };
    let theirs = HuggingFace::parse(&text)?;
    for entry in json["added_tokens"].as_array().into_iter().flatten() {
        let (content, id) = (entry["content"].as_str().unwrap_or_default(), entry["id"].as_u64());
        let read = theirs.id(content);
        if id != read.map(u64::from) {
            let told = |id: Option<u64>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let (id, read) = (told(id), told(read.map(u64::from)));
            return Err(format!("the id of the added token {content:?} is {id}, but its place is {read}"));
        }
    }
    Ok(Kind::HuggingFace(theirs))
}

/// Our own tokenizers are recognised by the mark in `tokenizer_config.json` and read without the detour.
fn ours(companions: &Companions, text: &str, path: &Path) -> Result<Option<Kind>> {
    match companions.config.get(OURS).and_then(Value::as_str) {
        Some("byte") => Ok(Some(Kind::Byte)),
        Some("char") => {
            let json = parse_json(path, text)?;
            let characters = read_characters(&json).ok_or_else(|| {
                Error::format(path, "the vocabulary is not one of single characters numbered from 0")
            })?;
            let added = json["added_tokens"].as_array().into_iter().flatten();
            let special: Vec<&str> = added.filter_map(|token| token["content"].as_str()).collect();
            Ok(Some(Kind::Char(CharTokenizer::new(characters, &special))))
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

pub(super) fn write(tokenizer: &Tokenizer, directory: &Path) -> Result<()> {
    let text = document(tokenizer)?;
    std::fs::create_dir_all(directory).map_err(Error::io(directory))?;
    write_file(&directory.join(TOKENIZER), text)?;
    let config = Value::Object(config(tokenizer)?);
    write_file(&directory.join(CONFIG), format!("{config:#}\n"))?;
    match tokenizer.chat_template() {
        Some(template) => write_file(&directory.join(CHAT_TEMPLATE), template),
        None => Ok(()),
    }
}

/// The `tokenizer_config.json` that the tokenizer came with, or one that says the same.
pub(super) fn config(tokenizer: &Tokenizer) -> Result<Map<String, Value>> {
    if !tokenizer.special.config.is_empty() {
        return Ok(tokenizer.special.config.clone());
    }
    let mut config = Map::from_iter([
        ("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast")),
        ("clean_up_tokenization_spaces".to_owned(), json!(false)),
    ]);
    if tokenizer.name() != FROM_FILE {
        config.insert(OURS.to_owned(), json!(tokenizer.name()));
    }
    if let Some(end) = tokenizer.end_of_text() {
        let end = tokenizer.decode(&[end])?;
        config.insert("eos_token".to_owned(), json!(end));
        config.insert("bos_token".to_owned(), json!(end));
    }
    Ok(config)
}
