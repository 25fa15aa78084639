//! How replies are made.

use serde::{Deserialize, Serialize};

use crate::Sampling;
use crate::error::Result;

/// How the replies of a conversation are made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatSettings {
    /// Most tokens of a reply; `None`: as many as the context has room for.
    pub max_tokens: Option<usize>,
    /// Strings that end a reply; they are not part of it.
    pub stop: Vec<String>,
    /// Where the draws of the first reply start, and those of each further one at the next number: the same seed gives the same
    /// conversation.
    pub seed: u64,
    /// How each token is chosen.
    pub sampling: Sampling,
}

impl ChatSettings {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`Error::Sampling`](crate::Error::Sampling) with the parameter and its value.
    pub fn validate(&self) -> Result<()> {
        self.sampling.validate()
    }
}
