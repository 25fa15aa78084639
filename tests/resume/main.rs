//! Runs that are killed, damaged or starved, and what is left of them: a run that continues is the one that never
//! stopped, bit for bit.

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod kill;
mod micro_batch;
mod refusal;
mod run;
