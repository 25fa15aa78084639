//! The token with which the model is to end its answers.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use kiln_datasets::examples::{Conversation, ExampleEncoder};

/// The token that ends most of the conversations. A template may end others, such as those with calls of tools, in another way.
pub fn turn_end<C: Borrow<Conversation>>(
    encoder: &ExampleEncoder,
    conversations: impl IntoIterator<Item = C>,
) -> Result<u32> {
    let mut counts = BTreeMap::new();
    for conversation in conversations {
        if let Some(token) = encoder.turn_end(conversation.borrow())? {
            *counts.entry(token).or_insert(0_usize) += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(token, _)| token);
    most.ok_or_else(|| anyhow!("no example has an answer"))
}
