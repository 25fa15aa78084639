//! `kiln finetune` and what it leaves: a model for a task, and the figures of it.

mod classify;
#[path = "../common/mod.rs"]
mod common;
mod instruct;
mod kill;
mod preferences;
mod refusal;
mod start;
