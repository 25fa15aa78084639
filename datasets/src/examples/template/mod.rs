//! Templates: how a conversation becomes a text.

mod alpaca;
mod chat;
mod generation;
mod marks;
mod plain;
mod python;
mod rendering;
#[allow(clippy::module_inception)]
mod template;

pub use self::chat::ChatTemplate;
pub(super) use self::marks::{Guard, without_marks};
pub(super) use self::rendering::{Asked, Rendering};
pub use self::template::Template;
