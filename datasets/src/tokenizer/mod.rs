//! Tokenizers: text to token ids and back.

mod bpe;
mod byte;
mod byte_pairs;
mod cache;
mod char;
mod count;
mod directory;
mod encoder;
mod file;
mod join;
mod merge;
mod published;
mod queue;
mod split;
mod stream;
mod train;
mod unicode;
mod visible;

use std::path::Path;
use std::sync::Arc;

use tokenizers::Tokenizer as HfTokenizer;
use xxhash_rust::xxh3::Xxh3;

pub use byte_pairs::BytePairs;
pub use split::Splitting;
pub use stream::StreamDecoder;

use self::bpe::Bpe;
use self::char::CharTokenizer;
use self::count::PieceCounts;
use self::train::Learned;
use crate::error::{Error, Result};

/// Names of the tokenizers that need no file. `char` is made from the corpus it is to encode.
pub const TOKENIZERS: [&str; 5] = ["char", "byte", "gpt2", "cl100k_base", "o200k_base"];

/// Name of the tokenizers that come from a file.
const FROM_FILE: &str = "tokenizer.json";

/// Turns text into token ids and token ids into text.
#[derive(Clone, Debug)]
pub struct Tokenizer(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Char(CharTokenizer),
    Byte,
    Bpe(Arc<Bpe>),
    HuggingFace(Box<HfTokenizer>),
}

impl Tokenizer {
    /// One token for each distinct character of `text`, in the order of their code points.
    pub fn characters_of(text: &str) -> Self {
        Self(Kind::Char(CharTokenizer::of(text)))
    }

    /// What a [`BpeTrainer`] learns from `texts`.
    ///
    /// # Errors
    ///
    /// [`Error::VocabSize`] if there is no room for the 256 bytes and the end-of-text token.
    pub fn train_bpe(texts: impl IntoIterator<Item: AsRef<str>>, vocab_size: usize) -> Result<Self> {
        let mut trainer = BpeTrainer::default();
        texts.into_iter().for_each(|text| trainer.add(text.as_ref()));
        trainer.train(vocab_size)
    }

    /// The tokenizer of that name (see [`TOKENIZERS`]), or the one in the directory of that path.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTokenizer`] if it is neither, and what [`from_directory`](Self::from_directory) says.
    pub fn open(name: &str) -> Result<Self> {
        match name {
            "byte" => Ok(Self(Kind::Byte)),
            _ => match published::by_name(name) {
                Some(bpe) => Ok(Self(Kind::Bpe(bpe))),
                None if Path::new(name).exists() => Self::from_directory(Path::new(name)),
                None => Err(Error::UnknownTokenizer { name: name.to_owned() }),
            },
        }
    }

    /// The tokenizer in a model directory: `tokenizer.json`, or `vocab.json` with `merges.txt`.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] if there is none or it is damaged.
    pub fn from_directory(directory: &Path) -> Result<Self> {
        directory::read(directory).map(Self)
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

    /// The ids of `text`, on all threads of the current rayon pool if it is long. Special tokens are not looked for:
    /// `<|endoftext|>` in a text is just characters. (A `tokenizer.json` that is not a byte-level BPE finds them always,
    /// as the `tokenizers` crate does.)
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCharacter`] from a character tokenizer.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match &self.0 {
            Kind::Char(tokenizer) => tokenizer.encode(text),
            Kind::Byte => Ok(byte::encode(text)),
            Kind::Bpe(tokenizer) => Ok(tokenizer.encode(text)),
            Kind::HuggingFace(tokenizer) => tokenizer
                .encode(text, false)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| Error::format("tokenizer.json", error.to_string())),
        }
    }

    /// As [`encode`](Self::encode), for callers that are many threads themselves.
    pub(crate) fn encode_on_this_thread(&self, text: &str) -> Result<Vec<u32>> {
        match &self.0 {
            Kind::Bpe(tokenizer) => Ok(tokenizer.encode_on_this_thread(text)),
            _ => self.encode(text),
        }
    }

    /// As [`encode`](Self::encode), but a special token that is written out in the text, such as `<|endoftext|>`, becomes
    /// its id.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCharacter`] from a character tokenizer.
    pub fn encode_with_special_tokens(&self, text: &str) -> Result<Vec<u32>> {
        match &self.0 {
            Kind::Bpe(tokenizer) => Ok(tokenizer.encode_with_special_tokens(text)),
            _ => self.encode(text),
        }
    }

    /// The ids of bytes that need not be UTF-8. A byte-level BPE takes them as Python's tiktoken does: text before the
    /// first invalid byte is split as ever, and its last piece is one with all that follows.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUtf8`] from a tokenizer of characters.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Result<Vec<u32>> {
        match (&self.0, std::str::from_utf8(bytes)) {
            (_, Ok(text)) => self.encode(text),
            (Kind::Byte, _) => Ok(bytes.iter().copied().map(u32::from).collect()),
            (Kind::Bpe(tokenizer), _) => Ok(tokenizer.encode_bytes(bytes)),
            (Kind::Char(_) | Kind::HuggingFace(_), Err(error)) => {
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
        match &self.0 {
            Kind::Char(tokenizer) => Ok(tokenizer.decode(tokens).into_bytes()),
            Kind::Byte => Ok(byte::decode(tokens)),
            Kind::Bpe(tokenizer) => Ok(tokenizer.decode(tokens)),
            Kind::HuggingFace(tokenizer) => match directory::byte_level_bytes(tokenizer, tokens) {
                Some(bytes) => Ok(bytes),
                None => tokenizer
                    .decode(tokens, false)
                    .map(String::into_bytes)
                    .map_err(|error| Error::format("tokenizer.json", error.to_string())),
            },
        }
    }

    /// Number of distinct tokens, special ones included.
    pub fn vocab_size(&self) -> usize {
        match &self.0 {
            Kind::Char(tokenizer) => tokenizer.vocab_size(),
            Kind::Byte => byte::VOCAB_SIZE,
            Kind::Bpe(tokenizer) => tokenizer.tokens.len(),
            Kind::HuggingFace(tokenizer) => tokenizer.get_vocab_size(true),
        }
    }

    /// The token that separates documents, if there is one.
    pub fn end_of_text(&self) -> Option<u32> {
        match &self.0 {
            Kind::Char(_) | Kind::Byte => None,
            Kind::Bpe(tokenizer) => tokenizer.end_of_text,
            Kind::HuggingFace(tokenizer) => {
                file::END_OF_TEXT.into_iter().find_map(|token| tokenizer.token_to_id(token))
            }
        }
    }

    /// A name for people: `char`, `gpt2`, …
    pub fn name(&self) -> &str {
        match &self.0 {
            Kind::Char(_) => "char",
            Kind::Byte => "byte",
            Kind::Bpe(tokenizer) => tokenizer.name,
            Kind::HuggingFace(_) => FROM_FILE,
        }
    }

    /// The characters of a character tokenizer, in the order of their ids.
    pub fn characters(&self) -> Option<&[char]> {
        match &self.0 {
            Kind::Char(tokenizer) => Some(tokenizer.characters()),
            _ => None,
        }
    }

    /// A number that two tokenizers share only if they encode alike: what shards are marked with.
    pub fn fingerprint(&self) -> u64 {
        let mut digest = Xxh3::new();
        digest.update(self.name().as_bytes());
        match &self.0 {
            Kind::Char(tokenizer) => {
                tokenizer
                    .characters()
                    .iter()
                    .for_each(|character| digest.update(&u32::from(*character).to_le_bytes()));
            }
            // The name says it all.
            Kind::Byte => {}
            Kind::Bpe(tokenizer) => {
                if let Some((_, fingerprint)) = &tokenizer.file {
                    digest.update(&fingerprint.to_le_bytes());
                }
            }
            Kind::HuggingFace(tokenizer) => {
                digest.update(tokenizer.to_string(false).unwrap_or_default().as_bytes());
            }
        }
        digest.digest()
    }
}

/// Learns a byte-level BPE from texts that come one after the other, on all threads; deterministic. What is kept of a
/// text is how often each piece occurs.
#[derive(Default)]
pub struct BpeTrainer(PieceCounts);

impl BpeTrainer {
    /// Takes in a document.
    pub fn add(&mut self, text: &str) {
        self.0.add(text);
    }

    /// A tokenizer of at most `vocab_size` tokens.
    ///
    /// # Errors
    ///
    /// [`Error::VocabSize`] if there is no room for the 256 bytes and the end-of-text token.
    pub fn train(self, vocab_size: usize) -> Result<Tokenizer> {
        let learned = Learned::from_counts(self.0.finish(), vocab_size)?;
        Ok(Tokenizer(Kind::Bpe(Arc::new(directory::of_learned(&learned)))))
    }
}

#[cfg(test)]
mod tests;
