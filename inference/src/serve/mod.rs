//! A model that answers over HTTP, as OpenAI's interface does: `/v1/chat/completions`, `/v1/completions`, and what programs
//! ask beside them.
//!
//! Two threads share the work. The one that calls [`serve`] owns the model: its [`worker`] steps an
//! [`Engine`](crate::Engine). The other one speaks HTTP. It turns a request into tokens, sends them to the worker, and turns
//! what happens to them into text. A client that leaves takes its texts with it before the next step.

mod app;
mod body;
mod chat_completions;
mod choice;
mod completions;
mod connection;
mod error;
mod fields;
mod fresh;
mod generation;
mod guard;
mod health;
mod histogram;
mod logprobs;
mod metrics;
mod models;
mod observe;
mod options;
mod page;
mod parameters;
mod phase;
mod reply;
mod response_format;
mod server;
mod sse;
mod steering;
mod stop_strings;
mod tokenize;
mod worker;

pub use self::options::{ServeOptions, ServedModel};
pub use self::server::serve;
