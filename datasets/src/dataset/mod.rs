//! The two splits of a corpus as token shards, and what a run remembers of them.

mod discard;
mod remember;
mod splits;
mod text_splits;

pub use self::splits::Dataset;
#[cfg(feature = "prepare")]
pub(crate) use self::splits::shards;
pub(crate) use self::splits::{MANIFEST, TRAIN, VALID};
pub use self::text_splits::TextSplits;
