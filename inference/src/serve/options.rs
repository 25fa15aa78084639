//! What is served, and to whom.

use std::time::Duration;

use kiln_datasets::examples::Template;
use kiln_model::Backend;

use crate::{SteeringKit, TextModel};

/// A model under the name by which it answers.
#[derive(Debug)]
pub struct ServedModel<B: Backend> {
    /// The name.
    pub id: String,
    /// The model.
    pub model: TextModel<B>,
    /// How a conversation becomes a text; without it, texts are continued and nothing else.
    pub template: Option<Template>,
    /// What requests may steer it with.
    pub kit: SteeringKit,
}

/// Who may ask, and how much at a time. A caller that ends with `..ServeOptions::default()` is not broken by a new field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Texts that are written at the same time.
    pub slots: usize,
    /// Texts that may wait for a slot; who asks for more is told to come again.
    pub queue: usize,
    /// What a client must send as `Authorization: Bearer` or `X-Api-Key`.
    pub api_key: Option<String>,
    /// Names by which the server may be called, besides those of this machine; `*` allows all.
    pub allowed_hosts: Vec<String>,
    /// Pages that may ask from a browser, such as `https://example.org`, besides the server's own; `*` allows all.
    pub allowed_origins: Vec<String>,
    /// How long texts may go on after the server was told to end.
    pub drain: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            slots: 8,
            queue: 64,
            api_key: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            drain: Duration::from_secs(10),
        }
    }
}
