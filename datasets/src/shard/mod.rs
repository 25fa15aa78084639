//! Token shards: files of token ids that are mapped into memory, so a corpus larger than memory costs
//! nothing.

mod file;
mod foreign;
mod header;
mod token_shard;
mod vocabulary;
mod writer;

pub use self::token_shard::{FileIdentity, TokenShard};
pub use self::vocabulary::{ShardFormat, Vocabulary};
pub use self::writer::ShardWriter;
#[cfg(feature = "prepare")]
pub(crate) use self::writer::{to_bytes, token_width};

#[cfg(test)]
mod tests;
