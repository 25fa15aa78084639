//! A conversation as text, and which of it answers.

use std::ops::Range;

use serde_json::Value;

use crate::examples::Message;

/// What a template is to render.
pub(in crate::examples) struct Asked<'a> {
    pub messages: &'a [Message],
    pub tools: &'a [Value],
    /// Whether to end where the model is to go on: behind the header of an answer.
    pub open: bool,
}

/// A conversation as text. Special tokens are written out in it; those that someone wrote are marked.
pub(in crate::examples) struct Rendering {
    pub text: String,
    /// The answers, in their order, each with the token that ends it: bytes of the text.
    pub answers: Vec<Range<usize>>,
}
