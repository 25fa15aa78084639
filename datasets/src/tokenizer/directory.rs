//! Tokenizers on disk: Hugging Face's `tokenizer.json`, for every tokenizer there is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as HfTokenizer};

use super::bpe::BpeTokenizer;
use super::char::CharTokenizer;
use super::train::END_OF_TEXT;
use super::{Kind, Tokenizer};
use crate::error::{Error, Result};

const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const CONFIG: &str = "tokenizer_config.json";
/// Key in `tokenizer_config.json` that names one of our own tokenizers; transformers ignores it.
const OURS: &str = "kiln_tokenizer";

pub(super) const GPT2_PATTERN: &str =
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
pub(super) const CL100K_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(super) const O200K_PATTERN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

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
        let tokenizer: HfTokenizer =
            text.parse().map_err(|error| Error::format(&path, format!("{error}")))?;
        return Ok(Kind::HuggingFace(Box::new(tokenizer)));
    }
    let (vocabulary, merges) = (directory.join(VOCABULARY), directory.join(MERGES));
    if !vocabulary.is_file() || !merges.is_file() {
        let reason = "no tokenizer here (neither `tokenizer.json` nor `vocab.json` with `merges.txt`)";
        return Err(Error::format(directory, reason));
    }
    let bpe = BPE::from_file(&vocabulary.to_string_lossy(), &merges.to_string_lossy())
        .build()
        .map_err(|error| Error::format(&vocabulary, error.to_string()))?;
    let mut tokenizer = HfTokenizer::new(bpe);
    let byte_level = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(byte_level)).with_decoder(Some(byte_level));
    // transformers takes this token for special without being told.
    if tokenizer.token_to_id(END_OF_TEXT).is_some() {
        tokenizer
            .add_special_tokens([AddedToken::from(END_OF_TEXT, true)])
            .map_err(|error| Error::format(&vocabulary, error.to_string()))?;
    }
    Ok(Kind::HuggingFace(Box::new(tokenizer)))
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
        Some(name) => Ok(BpeTokenizer::by_name(name).map(Kind::Bpe)),
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
    Ok(match &tokenizer.0 {
        Kind::HuggingFace(theirs) => {
            theirs.to_string(true).map_err(|error| Error::format(TOKENIZER, error.to_string()))?
        }
        Kind::Char(characters) => {
            let vocabulary = characters.characters().iter().map(char::to_string).collect::<Vec<_>>();
            bpe_document(&vocabulary, &[], Value::Null, json!({"type": "Fuse"}), &[])
        }
        Kind::Byte => {
            let vocabulary: Vec<String> = (0..=255).map(|byte| byte_level(&[byte])).collect();
            bpe_document(&vocabulary, &[], byte_level_splitter(None), byte_level_decoder(), &[])
        }
        Kind::Bpe(bpe) => {
            let tokens = bpe.ordinary_tokens();
            let merges = merges(&tokens);
            let vocabulary: Vec<String> = tokens.iter().map(|token| byte_level(token)).collect();
            let (pattern, special) = match bpe.name() {
                "gpt2" => (GPT2_PATTERN, vec![("<|endoftext|>".to_owned(), bpe.end_of_text())]),
                name => {
                    let pattern = if name == "cl100k_base" { CL100K_PATTERN } else { O200K_PATTERN };
                    (pattern, special_tokens(name, tokens.len() as u32, bpe.vocab_size() as u32))
                }
            };
            bpe_document(
                &vocabulary,
                &merges,
                byte_level_splitter(Some(pattern)),
                byte_level_decoder(),
                &special,
            )
        }
    })
}

pub(super) fn write(tokenizer: &Tokenizer, directory: &Path) -> Result<()> {
    let text = document(tokenizer)?;
    replace(&directory.join(TOKENIZER), &text)?;

    let mut config =
        json!({"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false});
    if !matches!(tokenizer.0, Kind::HuggingFace(_)) {
        config[OURS] = json!(tokenizer.name());
    }
    if tokenizer.end_of_text().is_some() {
        config["eos_token"] = json!("<|endoftext|>");
        config["bos_token"] = json!("<|endoftext|>");
    }
    replace(&directory.join(CONFIG), &format!("{config:#}\n"))
}

/// The published names of the special tokens, and fillers for the ids between that nothing uses.
fn special_tokens(name: &str, ordinary: u32, vocab_size: u32) -> Vec<(String, u32)> {
    let known: &[(&str, u32)] = if name == "cl100k_base" {
        &[
            ("<|endoftext|>", 100_257),
            ("<|fim_prefix|>", 100_258),
            ("<|fim_middle|>", 100_259),
            ("<|fim_suffix|>", 100_260),
            ("<|endofprompt|>", 100_276),
        ]
    } else {
        &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)]
    };
    (ordinary..vocab_size)
        .map(|id| match known.iter().find(|(_, known)| *known == id) {
            Some((token, _)) => ((*token).to_owned(), id),
            None => (format!("<|unused_{id}|>"), id),
        })
        .collect()
}

/// A `tokenizer.json` of the BPE kind; without merges it stops at single symbols.
fn bpe_document(
    vocabulary: &[String],
    merges: &[(String, String)],
    pre_tokenizer: Value,
    decoder: Value,
    special: &[(String, u32)],
) -> String {
    let vocab: Map<String, Value> =
        vocabulary.iter().zip(0..).map(|(token, id): (_, u32)| (token.clone(), json!(id))).collect();
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
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": !merges.is_empty(),
            "vocab": vocab, "merges": merges,
        },
    });
    document.to_string()
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

/// GPT-2's way of writing bytes as visible characters: printable Latin-1 stands for itself, the rest follows from
/// `U+0100` on.
static CHARACTERS: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut hidden = ('\u{100}'..).take(68);
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        let visible = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        if visible { char::from(byte) } else { hidden.next().expect("68 bytes are not visible") }
    })
});

/// The inverse of [`CHARACTERS`].
static BYTES: LazyLock<HashMap<char, u8>> =
    LazyLock::new(|| CHARACTERS.iter().copied().zip(0..=255).collect());

pub(super) fn byte_level(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| CHARACTERS[usize::from(*byte)]).collect()
}

/// The bytes of a byte-level tokenizer's tokens; `None` if it is of another kind.
pub(super) fn byte_level_bytes(tokenizer: &HfTokenizer, tokens: &[u32]) -> Option<Vec<u8>> {
    if !matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
        return None;
    }
    let mut bytes = Vec::new();
    for &token in tokens {
        let text = tokenizer.id_to_token(token)?;
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder().contains_key(&token);
        if added {
            bytes.extend(text.as_bytes());
        } else {
            for character in text.chars() {
                bytes.push(*BYTES.get(&character)?);
            }
        }
    }
    Some(bytes)
}

/// The merge that makes each token: its bytes merged as far as the tokens before it allow, which leaves two parts.
fn merges(tokens: &[Vec<u8>]) -> Vec<(String, String)> {
    let ranks: HashMap<&[u8], usize> =
        tokens.iter().zip(0..).map(|(token, rank)| (token.as_slice(), rank)).collect();
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
            found.push((byte_level(left), byte_level(right)));
        }
    }
    found
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io(path))?;
    std::fs::write(file.path(), text).map_err(Error::io(path))?;
    file.as_file().sync_all().map_err(Error::io(path))?;
    // Temporary files are private; what we leave behind should be readable as any other file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let readable = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(file.path(), readable).map_err(Error::io(path))?;
    }
    file.persist(path).map_err(|error| Error::io(path)(error.error))?;
    Ok(())
}
