//! What can go wrong outside our control.

use std::io::ErrorKind;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the inference crate: a request that cannot be met, or a model that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sampling parameter is out of range.
    #[error("{key} = {value}: {reason}")]
    Sampling {
        /// The parameter.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The prompt has no tokens.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// A token id that the model does not have.
    #[error("token {token} is outside the model's vocabulary of {vocab_size}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// Number of tokens the model has.
        vocab_size: usize,
    },
    /// More tokens than the model can attend over.
    #[error("{tokens} tokens exceed the model's context of {context_length}")]
    TooLong {
        /// Tokens given.
        tokens: usize,
        /// Most the model takes.
        context_length: usize,
    },
    /// More tokens than are explained together.
    #[error("a text of {tokens} tokens: of more than {most}, one block at a time is explained")]
    ManyTokens {
        /// Tokens given.
        tokens: usize,
        /// Most of which all blocks are explained.
        most: usize,
    },
    /// A sparse autoencoder that reads what the model does not have.
    #[error("the autoencoder reads {hook}: {reason}")]
    UnfitAutoencoder {
        /// Where it reads.
        hook: String,
        /// What is wrong with that.
        reason: String,
    },
    /// A block, head or position that the model or the text does not have.
    #[error("{option} {value}: {reason}")]
    Explain {
        /// Which.
        option: &'static str,
        /// Its number.
        value: usize,
        /// How many there are.
        reason: String,
    },
    /// A model without a template for conversations.
    #[error("a base model: it continues texts, and has no template for conversations")]
    NoTemplate,
    /// A model with a template that it has not learned to answer by.
    #[error(
        "a base model, it seems: its template ends answers with {turn_end}, and the model does not end its texts there"
    )]
    UnusedTemplate {
        /// The token that ends answers.
        turn_end: String,
    },
    /// A message of a conversation that the context has no room for.
    #[error(
        "the message has {tokens} tokens with what must stand before it, and the context of {context_length} has room for \
         {room}: the others are for the reply"
    )]
    MessageTooLong {
        /// Tokens of the message, with the system text and what the template adds.
        tokens: usize,
        /// Most that there is room for.
        room: usize,
        /// Tokens that the model can see.
        context_length: usize,
    },
    /// A file that was to hold a conversation.
    #[error("{}: not a conversation: {reason}", path.display())]
    Conversation {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Too few tokens to predict any.
    #[error("{tokens} tokens: scoring needs at least 2")]
    TooShort {
        /// Tokens given.
        tokens: usize,
    },
    /// Texts whose values cannot take each other's places.
    #[error("one text has {clean} tokens and the other {corrupt}: values change places position by position")]
    UnequalLengths {
        /// Tokens of the clean text, or of the one that is ablated.
        clean: usize,
        /// Tokens of the corrupt text, or of the one whose values come in.
        corrupt: usize,
    },
    /// The model computes something that is no number: its weights are damaged, or were never sound.
    #[error("the model gives token {token} at position {position} the logit {value}, which is not finite")]
    NotFinite {
        /// Index of the tokens that were read, from 0.
        position: usize,
        /// The token whose logit it is.
        token: u32,
        /// The logit.
        value: f32,
    },
    /// A change of the residual stream that is not possible in this model.
    #[error("steering {what}: {reason}")]
    Steering {
        /// The feature, vector or place.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A form that texts cannot have, or that a text could not keep.
    #[error("the form of the text: {0}")]
    Constraint(String),
    /// The loss on a part of a corpus is no number, for the same reason.
    #[error("the loss of the model on tokens {first} to {last} is {loss}, which is not finite")]
    LossNotFinite {
        /// First token of the part, from 0.
        first: usize,
        /// Last token of the part.
        last: usize,
        /// The loss.
        loss: f64,
    },
    /// The model that an adapter was trained on is not there.
    #[error("{}: an adapter of `{base}`, which is not here", adapter.display())]
    NoBase {
        /// The directory of the adapter.
        adapter: PathBuf,
        /// The model, as it was named then; empty where it was not.
        base: String,
    },
    /// The server cannot listen, or cannot start.
    #[cfg(feature = "serve")]
    #[error("the server: {0}")]
    Server(#[source] std::io::Error),
    /// The model could not be opened.
    #[error(transparent)]
    Model(#[from] kiln_model::Error),
    /// The tokenizer could not be opened, or cannot encode the text.
    #[error(transparent)]
    Data(#[from] kiln_datasets::Error),
}

impl Error {
    /// The class of this error in the standard library's terms: `InvalidInput` for a request that cannot be
    /// met, `InvalidData` for a model that computes no numbers and a file that is no conversation, else that of the error behind it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Model(source) => source.kind(),
            Self::Data(source) => source.kind(),
            #[cfg(feature = "serve")]
            Self::Server(source) => source.kind(),
            Self::NoBase { .. } => ErrorKind::NotFound,
            Self::NotFinite { .. } | Self::LossNotFinite { .. } | Self::Conversation { .. } => {
                ErrorKind::InvalidData
            }
            _ => ErrorKind::InvalidInput,
        }
    }
}
