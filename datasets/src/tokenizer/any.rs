//! A tokenizer of any kind.

use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::bpe::Bpe;
use super::char::CharTokenizer;
use super::hugging_face::HuggingFace;
use super::special::SpecialTokens;
use super::{byte, directory, file, published};
use crate::error::{Error, Result};

/// Names of the tokenizers that need no file. `char` is made from the corpus it is to encode.
pub const TOKENIZERS: [&str; 5] = ["char", "byte", "gpt2", "cl100k_base", "o200k_base"];

/// Name of the tokenizers that come from a file.
pub(super) const FROM_FILE: &str = "tokenizer.json";

/// Turns text into token ids and token ids into text.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    pub(super) kind: Kind,
    pub(super) special: Arc<SpecialTokens>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Char(CharTokenizer),
    Byte,
    Bpe(Arc<Bpe>),
    HuggingFace(HuggingFace),
}

impl From<Kind> for Tokenizer {
    fn from(kind: Kind) -> Self {
        Self { kind, special: Arc::default() }
    }
}

impl Tokenizer {
    /// One token for each distinct character of `text`, in the order of their code points.
    pub fn characters_of(text: &str) -> Self {
        Kind::Char(CharTokenizer::of(text)).into()
    }

    /// The tokenizer of that name (see [`TOKENIZERS`]), or the one in the directory, or the `tokenizer.json`,
    /// of that path.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTokenizer`] if it is none of them, and what [`from_directory`](Self::from_directory)
    /// says.
    pub fn open(name: &str) -> Result<Self> {
        match name {
            "byte" => Ok(Kind::Byte.into()),
            _ => match published::by_name(name) {
                Some(bpe) => Ok(Kind::Bpe(bpe).into()),
                None if Path::new(name).exists() => Self::from_directory(Path::new(name)),
                None => Err(Error::UnknownTokenizer { name: name.to_owned() }),
            },
        }
    }

    /// The tokenizer in a model directory: `tokenizer.json`, or `vocab.json` with `merges.txt`, and what
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say beside it.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if there is none or it is damaged.
    pub fn from_directory(directory: &Path) -> Result<Self> {
        directory::read(directory)
    }

    /// Whether a directory holds a tokenizer, whole or not.
    pub fn is_in(directory: &Path) -> bool {
        directory::holds_one(directory)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json`, which `transformers` opens.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directory cannot be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        directory::write(self, directory)
    }

    /// The ids of `text`, on all threads of the current rayon pool if it is long. Special tokens are not
    /// looked for: `<|endoftext|>` in a text is just characters. Added tokens that are not special are found.
    /// (A `tokenizer.json` that is not a byte-level BPE finds special ones always, as the `tokenizers` crate
    /// does.)
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCharacter`] from a character tokenizer.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match &self.kind {
            Kind::Char(tokenizer) => tokenizer.encode(text),
            Kind::Byte => Ok(byte::encode(text)),
            Kind::Bpe(tokenizer) => Ok(tokenizer.encode(text)),
            Kind::HuggingFace(tokenizer) => tokenizer.encode(text),
        }
    }

    /// As [`encode`](Self::encode), for callers that use several threads themselves.
    #[cfg(feature = "prepare")]
    pub(crate) fn encode_on_this_thread(&self, text: &str) -> Result<Vec<u32>> {
        match &self.kind {
            Kind::Bpe(tokenizer) => Ok(tokenizer.encode_on_this_thread(text)),
            _ => self.encode(text),
        }
    }

    /// The ids of a text that is to be continued or judged, as transformers gives them: first those of
    /// [`start_of_text`](Self::start_of_text), then as [`encode`](Self::encode), but a special token that is
    /// written out in the text, such as `<|endoftext|>`, becomes its id. Nothing is put behind the text.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCharacter`] from a character tokenizer.
    pub fn encode_with_special_tokens(&self, text: &str) -> Result<Vec<u32>> {
        let tokens = match &self.kind {
            Kind::Char(tokenizer) => tokenizer.encode_with_special_tokens(text)?,
            Kind::Bpe(tokenizer) => tokenizer.encode_with_special_tokens(text),
            _ => self.encode(text)?,
        };
        Ok([self.start_of_text(), &tokens].concat())
    }

    /// The ids of bytes that need not be UTF-8. A byte-level BPE takes them as Python's tiktoken does: text
    /// before the first invalid byte is split as usual, and its last piece is one with all that follows.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUtf8`] from a tokenizer of characters, or one that changes text before it splits it.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Result<Vec<u32>> {
        match (&self.kind, std::str::from_utf8(bytes)) {
            (_, Ok(text)) => self.encode(text),
            (Kind::Byte, _) => Ok(bytes.iter().copied().map(u32::from).collect()),
            (Kind::Bpe(tokenizer), _) if tokenizer.takes_bytes() => Ok(tokenizer.encode_bytes(bytes)),
            (_, Err(error)) => {
                Err(Error::InvalidUtf8 { byte: error.valid_up_to() + 1, tokenizer: self.name().to_owned() })
            }
        }
    }

    /// The text of `tokens`; bytes that are not UTF-8 become `U+FFFD`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownToken`] for an id outside the vocabulary.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.decode_bytes(tokens)?).into_owned())
    }

    /// The bytes of `tokens`: a single token of a byte-level tokenizer need not be whole characters.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownToken`] for an id outside the vocabulary.
    pub fn decode_bytes(&self, tokens: &[u32]) -> Result<Vec<u8>> {
        let vocab_size = self.vocab_size();
        if let Some(&token) = tokens.iter().find(|token| **token as usize >= vocab_size) {
            return Err(Error::UnknownToken { token, vocab_size });
        }
        match &self.kind {
            Kind::Char(tokenizer) => Ok(tokenizer.decode(tokens).into_bytes()),
            Kind::Byte => Ok(byte::decode(tokens)),
            Kind::Bpe(tokenizer) => Ok(tokenizer.decode(tokens)),
            Kind::HuggingFace(tokenizer) => tokenizer.decode(tokens),
        }
    }

    /// The bytes that a token adds to those before it. Of many tokenizers that is what
    /// [`decode_bytes`](Self::decode_bytes) says; some leave out the space before a word that begins a text.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownToken`] for an id outside the vocabulary.
    pub fn token_bytes(&self, token: u32) -> Result<Vec<u8>> {
        match &self.kind {
            Kind::HuggingFace(tokenizer) if (token as usize) < self.vocab_size() => {
                tokenizer.token_bytes(token)
            }
            _ => self.decode_bytes(&[token]),
        }
    }

    /// Number of distinct tokens, special ones included.
    pub fn vocab_size(&self) -> usize {
        match &self.kind {
            Kind::Char(tokenizer) => tokenizer.vocab_size(),
            Kind::Byte => byte::VOCAB_SIZE,
            Kind::Bpe(tokenizer) => tokenizer.tokens.len(),
            Kind::HuggingFace(tokenizer) => tokenizer.vocab_size(),
        }
    }

    /// Tokens that the tokenizer puts before every text: those of its post-processor.
    pub fn start_of_text(&self) -> &[u32] {
        &self.special.start
    }

    /// The token that has a role by the files of the tokenizer: `bos_token`, `eos_token`, `unk_token`,
    /// `sep_token`, `pad_token`, `cls_token` or `mask_token`.
    pub fn special_token(&self, role: &str) -> Option<u32> {
        self.special.token(role)
    }

    /// The token that separates documents, if there is one: the `eos_token`, or else one that is called
    /// `<|endoftext|>` or `</s>`. Where the `eos_token` is that of ChatML, which ends turns, and such a one is the
    /// `bos_token`, it is that.
    pub fn end_of_text(&self) -> Option<u32> {
        let called = match &self.kind {
            Kind::Char(_) | Kind::Byte => None,
            Kind::Bpe(tokenizer) => tokenizer.end_of_text,
            Kind::HuggingFace(tokenizer) => {
                file::END_OF_TEXT.into_iter().find_map(|token| tokenizer.id(token))
            }
        };
        let begins = called.is_some() && called == self.special.token("bos_token");
        match self.special.token("eos_token") {
            Some(token) if !(begins && self.ends_turns(token)) => Some(token),
            _ => called,
        }
    }

    /// A name for people: `char`, `gpt2`, …
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Char(_) => "char",
            Kind::Byte => "byte",
            Kind::Bpe(tokenizer) => tokenizer.name,
            Kind::HuggingFace(_) => FROM_FILE,
        }
    }

    /// The characters of a character tokenizer, in the order of their ids.
    pub fn characters(&self) -> Option<&[char]> {
        match &self.kind {
            Kind::Char(tokenizer) => Some(tokenizer.characters()),
            _ => None,
        }
    }

    /// A number that two tokenizers share only if they encode alike: what shards are marked with.
    pub fn fingerprint(&self) -> u64 {
        let mut digest = Xxh3::new();
        digest.update(self.name().as_bytes());
        match &self.kind {
            Kind::Char(tokenizer) => {
                tokenizer
                    .characters()
                    .iter()
                    .for_each(|character| digest.update(&u32::from(*character).to_le_bytes()));
                tokenizer.special().for_each(|token| digest.update(token.content.as_bytes()));
            }
            // The name says it all.
            Kind::Byte => {}
            Kind::Bpe(tokenizer) => {
                if let Some((_, fingerprint)) = &tokenizer.file {
                    digest.update(&fingerprint.to_le_bytes());
                }
            }
            Kind::HuggingFace(tokenizer) => {
                digest.update(tokenizer.json(false).unwrap_or_default().as_bytes());
            }
        }
        digest.digest()
    }
}
