//! Checkpoints: everything that a run needs to resume as if it had never stopped, as one unit on the disk.
//!
//! `checkpoint/step-00000500/` holds
//!
//! | file | what it is |
//! |---|---|
//! | `model.mpk` | weights; of a model with an adapter, what learns beside it, and its checksum |
//! | `optimizer.mpk` | the optimizer's moments in full precision: they do not survive f16 |
//! | `schedule.mpk` | position of the learning rate's schedule |
//! | `state.toml` | step, tokens, best evaluation, counters, windows of the z-scores, format version |
//! | `config.toml` | the resolved configuration |
//! | `checksums` | XXH3 of each of them |
//!
//! The position in the data and the random numbers of dropout have no state of their own: both are functions of the
//! seed, which is in `config.toml`, and the step.
//!
//! burn-train's learner hands out its three records through checkpointers that work in threads of their own
//! (`parts`). They write into a temporary directory; once everything is there with its checksums (`sealed`) and on the
//! disk, one rename makes it a checkpoint (`store`). A crash at any moment leaves those that were there.

mod learned;
mod name;
mod parts;
mod sealed;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use sealed::Checkpoint;

pub(crate) use name::exists;
pub(crate) use sealed::newest;
pub(crate) use state::RunState;
pub(crate) use store::Checkpoints;
