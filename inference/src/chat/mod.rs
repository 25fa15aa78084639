//! Conversations: what somebody says in, the answer out.
//!
//! A [`ChatSession`] remembers what was said. Each [`Reply`] comes piece by piece, and is part of the conversation as far as it
//! came: it may be stopped between any two of them. What the engine has read stays with it, so that a long conversation is not
//! read again for every question.

mod history;
mod reply;
mod saved;
mod session;
mod settings;
mod template;
#[cfg(test)]
mod tests;

pub use self::history::{ChatHistory, Turn};
pub use self::reply::Reply;
pub use self::session::ChatSession;
pub use self::settings::ChatSettings;
pub use self::template::chat_template;
