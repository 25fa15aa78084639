//! Taking back what was written for a run that never started.

use std::path::Path;

use super::remember::REMEMBERED;
use super::{Dataset, MANIFEST, TRAIN, VALID};
use crate::tokenizer::{CHAT_TEMPLATE, SAVED_FILES};

impl Dataset {
    /// Removes from `folder` the files that this crate writes there, and no others: what a run remembers of its tokens and,
    /// unless `keep_shards`, shards, manifest and tokenizer. A file that cannot be removed stays.
    pub fn discard(folder: &Path, keep_shards: bool) {
        let shards = [TRAIN, VALID, MANIFEST, CHAT_TEMPLATE].into_iter().chain(SAVED_FILES);
        let shards = shards.filter(|_| !keep_shards);
        for file in shards.chain([REMEMBERED]) {
            let _ = std::fs::remove_file(folder.join(file));
        }
    }
}
