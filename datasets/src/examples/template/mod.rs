//! Templates: how a conversation becomes a text.

mod alpaca;
mod any;
mod chat;
mod generation;
mod marks;
mod plain;
mod python;
mod rendering;

pub use self::any::Template;
pub use self::chat::ChatTemplate;
pub(super) use self::marks::{Guard, without_marks};
pub(super) use self::rendering::{Asked, Rendering};
