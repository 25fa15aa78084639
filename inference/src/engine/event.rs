//! What happened in a step.

use crate::error::Error;
use crate::generate::FinishReason;
use crate::logprobs::TokenLogprob;

/// A request that was admitted: no two of an engine have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// What happened to a request in a step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Its prompt was read.
    Read {
        /// The request.
        id: RequestId,
        /// Tokens of the prompt that another text had read before.
        cached: usize,
        /// Log-probabilities of the prompt's tokens from the second on, where they were
        /// [asked for](crate::GenerateOptions::prompt_logprobs).
        logprobs: Vec<TokenLogprob>,
    },
    /// Its text grew.
    Token {
        /// The request.
        id: RequestId,
        /// What was chosen.
        token: u32,
        /// Its log-probability, where that was [asked for](crate::GenerateOptions::logprobs).
        logprob: Option<TokenLogprob>,
    },
    /// Its context is full: from here on the model sees only the newest tokens.
    Shortened {
        /// The request.
        id: RequestId,
        /// Tokens that it no longer sees.
        dropped: usize,
    },
    /// Its text is over.
    Ended {
        /// The request.
        id: RequestId,
        /// Why.
        reason: FinishReason,
        /// The token that ended it, which is not part of the text, and its log-probability as for the others.
        stop: Option<(u32, Option<TokenLogprob>)>,
    },
    /// The model computes no numbers for it; its text is over.
    Failed {
        /// The request.
        id: RequestId,
        /// What came out.
        error: Error,
    },
}

impl Event {
    /// The request that it is about.
    pub fn id(&self) -> RequestId {
        match self {
            Self::Read { id, .. }
            | Self::Token { id, .. }
            | Self::Shortened { id, .. }
            | Self::Ended { id, .. }
            | Self::Failed { id, .. } => *id,
        }
    }
}
