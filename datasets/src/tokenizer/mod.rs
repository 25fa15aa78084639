//! Tokenizers: text to token ids and back.

mod added;
mod any;
mod bpe;
mod byte;
mod byte_pairs;
mod cache;
mod char;
mod chat;
mod companions;
mod complete;
mod count;
mod directory;
mod document;
mod encoder;
mod file;
mod gguf;
mod hugging_face;
mod join;
mod merge;
mod normalizer;
mod published;
mod queue;
mod special;
mod split;
mod stream;
mod train;
mod trainer;
mod unicode;
mod visible;

use self::any::{FROM_FILE, Kind};
pub use self::any::{TOKENIZERS, Tokenizer};
pub use self::byte_pairs::BytePairs;
pub use self::chat::{CHAT_TOKENS, CHATML};
pub(crate) use self::companions::CHAT_TEMPLATE;
#[cfg(feature = "prepare")]
pub(crate) use self::companions::ROLES;
pub(crate) use self::directory::SAVED_FILES;
pub use self::gguf::GgufTokenizer;
pub use self::split::Splitting;
pub use self::stream::StreamDecoder;
pub use self::trainer::BpeTrainer;

#[cfg(test)]
mod directory_tests;
#[cfg(test)]
mod real_files_tests;
#[cfg(test)]
mod tests;
