//! Options and arguments as they are typed, a file for each group of commands.

mod advice;
pub mod bench;
pub mod chat;
pub mod common;
pub mod data;
pub mod explain;
pub mod finetune;
pub mod inference;
pub mod models;
pub mod patch;
mod precision;
pub mod sae;
pub mod sampling;
#[cfg(feature = "serve")]
pub mod serve;
pub mod steer;
pub mod steering;
pub mod training;
mod typed;

pub use self::advice::advise;
pub use self::typed::{accept_negative_numbers, arguments};
