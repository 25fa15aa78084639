//! Tokenizers of GGUF files, which name how they split text and leave it to the reader to know.

use std::path::Path;

use rustc_hash::FxHashSet;
use serde_json::{Map, Value, json};

use super::char::CharTokenizer;
use super::companions::{Companions, added_token};
use super::directory::of_document;
use super::document::{bpe_document, byte_level_decoder, byte_level_splitter, gpt2_splitter};
use super::split::Splitting;
use super::{Kind, Tokenizer, chat, visible};
use crate::error::{Error, Result};

/// A byte-level BPE as a GGUF file describes it.
#[derive(Clone, Debug, Default)]
pub struct GgufTokenizer {
    /// Tokens in the order of their ids, bytes written as GPT-2's visible characters.
    pub tokens: Vec<String>,
    /// Ids of tokens that stand for no text.
    pub special: Vec<u32>,
    /// Ids of tokens that stand for text as it is written.
    pub added: Vec<u32>,
    /// Pairs of tokens that join, the most eager first, each with a space between.
    pub merges: Vec<String>,
    /// How text is split before anything joins, by llama.cpp's name.
    pub pre_tokenizer: String,
    /// Ids of tokens by what they are for, in GGUF's words: `bos`, `eos`, `padding`, …
    pub named: Vec<(&'static str, u32)>,
    /// Whether a text begins with the token `bos`.
    pub add_bos: bool,
    /// How a conversation becomes a text, as a Jinja template.
    pub chat_template: Option<String>,
}

/// What tokens are for: GGUF's name, and that of transformers.
const ROLES: [(&str, &str); 7] = [
    ("bos", "bos_token"),
    ("eos", "eos_token"),
    ("unknown", "unk_token"),
    ("seperator", "sep_token"),
    ("padding", "pad_token"),
    ("cls", "cls_token"),
    ("mask", "mask_token"),
];

/// What happens to a text before its pieces are merged.
struct PreTokenizer {
    normalizer: Value,
    splitter: Value,
    /// Whether a piece that is a token becomes it without a look at the merges.
    ignore_merges: bool,
}

impl PreTokenizer {
    /// The one of that name at llama.cpp.
    fn named(name: &str) -> Option<Self> {
        let plain = |splitter| Self { normalizer: Value::Null, splitter, ignore_merges: false };
        let whole = |splitting: Splitting| Self {
            ignore_merges: true,
            ..plain(byte_level_splitter(Some(splitting.pattern())))
        };
        Some(match name {
            "gpt-2" => plain(gpt2_splitter()),
            "smollm" => plain(json!({"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": true}, gpt2_splitter(),
            ]})),
            "qwen2" => Self {
                normalizer: json!({"type": "NFC"}),
                ..plain(byte_level_splitter(Some(Splitting::Qwen2.pattern())))
            },
            "llama-bpe" | "llama3" | "llama-v3" => whole(Splitting::Llama3),
            "dbrx" => whole(Splitting::Cl100kBase),
            "gpt-4o" => whole(Splitting::O200kBase),
            _ => return None,
        })
    }
}

impl Tokenizer {
    /// The tokenizer that the GGUF file at `path` describes.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] with the path if it splits text in an unknown way, or contradicts itself.
    pub fn from_gguf(gguf: &GgufTokenizer, path: &Path) -> Result<Self> {
        if let Some(kind) = gguf.characters() {
            return chat::with_config(kind, gguf.tokenizer_config());
        }
        let name = &gguf.pre_tokenizer;
        let pre_tokenizer = PreTokenizer::named(name).ok_or_else(|| {
            let known = "gpt-2, smollm, qwen2, llama-bpe, dbrx or gpt-4o";
            Error::format(path, format!("`tokenizer.ggml.pre` = {name:?} is not supported; expected {known}"))
        })?;
        let ids = gguf.special.iter().chain(&gguf.added).chain(gguf.named.iter().map(|(_, id)| id));
        if let Some(id) = ids.copied().find(|id| *id as usize >= gguf.tokens.len()) {
            let tokens = gguf.tokens.len();
            return Err(Error::format(
                path,
                format!("token {id} has a meaning, but there are {tokens} tokens"),
            ));
        }
        let companions = Companions::of_config(gguf.tokenizer_config());
        of_document(gguf.document(pre_tokenizer), None, companions, path)
    }
}

impl GgufTokenizer {
    /// A vocabulary of characters, and perhaps of special tokens behind them; one that is merged from bytes has all
    /// bytes, too.
    fn characters(&self) -> Option<Kind> {
        let (ordinary, special) =
            self.tokens.split_at_checked(self.tokens.len().checked_sub(self.special.len())?)?;
        let behind = ordinary.len() as u32..self.tokens.len() as u32;
        if !self.added.is_empty() || !behind.eq(self.special.iter().copied()) {
            return None;
        }
        let characters = ordinary.iter().map(|token| {
            let text = String::from_utf8(visible::to_bytes(token)?).ok()?;
            let mut characters = text.chars();
            characters.next().filter(|_| characters.next().is_none())
        });
        Some(Kind::Char(CharTokenizer::new(characters.collect::<Option<_>>()?, special)))
    }

    /// The `tokenizer.json`.
    fn document(&self, pre_tokenizer: PreTokenizer) -> Value {
        let special: FxHashSet<u32> = self.special.iter().copied().collect();
        let outside: FxHashSet<u32> =
            self.added.iter().copied().chain(self.special.iter().copied()).collect();
        // Added tokens behind all others are no part of the vocabulary, as in the files of transformers.
        let ordinary = (0..self.tokens.len() as u32).rev().find(|id| !outside.contains(id));
        let end = ordinary.map_or(0, |last| last as usize + 1);
        let vocabulary: Map<String, Value> =
            (0..).zip(&self.tokens[..end]).map(|(id, token): (u32, _)| (token.clone(), json!(id))).collect();
        let merges = self.merges.iter().map(|merge| json!(merge)).collect();
        let PreTokenizer { normalizer, splitter, ignore_merges } = pre_tokenizer;
        let mut document =
            bpe_document(vocabulary, merges, splitter, byte_level_decoder(), &[], ignore_merges);
        let mut added: Vec<u32> = outside.into_iter().collect();
        added.sort_unstable();
        let added = added.into_iter().map(|id| added_token(self.text(id), id, special.contains(&id)));
        document["added_tokens"] = added.collect();
        document["normalizer"] = normalizer;
        document
    }

    /// The `tokenizer_config.json`.
    fn tokenizer_config(&self) -> Map<String, Value> {
        let mut config = Map::from_iter([
            ("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast")),
            ("clean_up_tokenization_spaces".to_owned(), json!(false)),
            ("add_bos_token".to_owned(), json!(self.add_bos)),
        ]);
        for (name, id) in &self.named {
            if let Some((_, role)) = ROLES.iter().find(|(theirs, _)| theirs == name) {
                config.insert((*role).to_owned(), json!(self.text(*id)));
            }
        }
        config
            .extend(self.chat_template.iter().map(|template| ("chat_template".to_owned(), json!(template))));
        config
    }

    fn text(&self, id: u32) -> &str {
        &self.tokens[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "So it goes, 12345 times… naïve 🦀 don't\n\n  stop";

    /// A tokenizer as a GGUF file would have it.
    fn described(tokenizer: &Tokenizer, pre_tokenizer: &str) -> GgufTokenizer {
        let pairs = tokenizer.byte_pairs().expect("byte-level");
        GgufTokenizer {
            tokens: pairs.tokens,
            special: pairs.special,
            added: pairs.added,
            merges: pairs.merges.iter().map(|(left, right)| format!("{left} {right}")).collect(),
            pre_tokenizer: pre_tokenizer.to_owned(),
            ..GgufTokenizer::default()
        }
    }

    fn read(gguf: &GgufTokenizer) -> Tokenizer {
        Tokenizer::from_gguf(gguf, Path::new("x.gguf")).expect("sound")
    }

    #[test]
    fn what_was_described_encodes_as_before() {
        let learned = Tokenizer::train_bpe([crate::tales::corpus(1, 20_000).text()], 400).expect("room");
        let characters = Tokenizer::characters_of(TEXT);
        let chat = characters.with_chat_tokens().expect("sound");
        let named = |name| Tokenizer::open(name).expect("embedded");
        for (tokenizer, pre_tokenizer) in [
            (learned, "gpt-2"),
            (characters, "gpt-2"),
            (chat, "gpt-2"),
            (named("byte"), "gpt-2"),
            (named("gpt2"), "gpt-2"),
            (named("cl100k_base"), "dbrx"),
        ] {
            let again = read(&described(&tokenizer, pre_tokenizer));
            assert_eq!(again.vocab_size(), tokenizer.vocab_size());
            let tokens = tokenizer.encode(TEXT).expect("known characters");
            assert_eq!(again.encode(TEXT).expect("known characters"), tokens, "{}", tokenizer.name());
            assert_eq!(again.decode(&tokens).expect("known tokens"), TEXT);
            let special = |tokenizer: &Tokenizer| tokenizer.encode_with_special_tokens("t<|im_end|>").ok();
            assert_eq!(special(&again), special(&tokenizer), "{}", tokenizer.name());
        }
    }

    #[test]
    fn each_name_splits_digits_in_its_way() {
        let learned = Tokenizer::train_bpe(["1,12,123,1234,12345,".repeat(9)], 300).expect("room");
        let parts = |pre_tokenizer| {
            let tokenizer = read(&described(&learned, pre_tokenizer));
            let tokens = tokenizer.encode("12345").expect("any text");
            tokens.iter().map(|token| tokenizer.decode(&[*token]).expect("its own")).collect::<Vec<_>>()
        };
        assert_eq!(parts("gpt-2"), ["12345"]);
        for alone in ["smollm", "qwen2"] {
            assert_eq!(parts(alone), ["1", "2", "3", "4", "5"], "{alone}");
        }
        assert_eq!(parts("llama-bpe").concat(), "12345");
        assert_eq!(parts("llama-bpe")[0].len(), 3);
    }

    #[test]
    fn roles_templates_and_added_tokens_are_kept() {
        let mut gguf = described(&Tokenizer::train_bpe(["so it goes"], 260).expect("room"), "llama-bpe");
        gguf.tokens.extend(["<|begin|>", "<|end|>"].map(str::to_owned));
        gguf.special.extend([260, 261]);
        gguf.named = vec![("bos", 260), ("eos", 261), ("eot", 261)];
        gguf.add_bos = true;
        gguf.chat_template = Some("{{ x }}".to_owned());
        let tokenizer = read(&gguf);
        assert_eq!(tokenizer.start_of_text(), [260]);
        assert_eq!((tokenizer.special_token("bos_token"), tokenizer.end_of_text()), (Some(260), Some(261)));
        assert_eq!(tokenizer.chat_template(), Some("{{ x }}"));
        assert_eq!(tokenizer.encode_with_special_tokens("<|end|>").expect("any text"), [260, 261]);
        let folder = tempfile::tempdir().expect("a temporary directory");
        tokenizer.save(folder.path()).expect("writable");
        let saved = Tokenizer::from_directory(folder.path()).expect("just written");
        assert_eq!((saved.fingerprint(), saved.start_of_text()), (tokenizer.fingerprint(), &[260][..]));
        assert_eq!(saved.chat_template(), Some("{{ x }}"));
    }

    #[test]
    fn unknown_names_and_ids_are_refused() {
        let sound = described(&Tokenizer::train_bpe(["so it goes"], 260).expect("room"), "gpt-2");
        let refused = |gguf: GgufTokenizer| {
            Tokenizer::from_gguf(&gguf, Path::new("x.gguf")).expect_err("it is wrong").to_string()
        };
        let unknown = refused(GgufTokenizer { pre_tokenizer: "deepseek-llm".to_owned(), ..sound.clone() });
        assert!(unknown.contains("x.gguf") && unknown.contains("\"deepseek-llm\""), "{unknown}");
        let beyond = refused(GgufTokenizer { named: vec![("eos", 260)], ..sound });
        assert!(beyond.contains("token 260") && beyond.contains("260 tokens"), "{beyond}");
    }
}
