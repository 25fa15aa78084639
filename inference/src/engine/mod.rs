//! Many texts at once: every weight is read once a step for all of them.
//!
//! An [`Engine`] has slots. A request waits for one, in the order of arrival; its prompt is read in chunks, one chunk a step,
//! so that a long one does not hold up the others; then each step adds a token to every text. Texts come and go between steps.
//!
//! On the default backend a text depends on its request alone, to the last bit: not on what runs beside it, nor on what was
//! read before. Three things see to that:
//!
//! - A prompt is cut at multiples of [`CHUNK`], whatever the load, and what two prompts share is read again unless it ends at
//!   such a cut: the same positions meet the same arithmetic.
//! - At most [`ROWS`] texts take one step together: so many rows share a weight without a change in the order of any sum.
//! - Each text draws from a random stream of its own.

mod event;
mod options;
mod prefixes;
mod scheduler;
mod slot;
#[cfg(test)]
mod tests;

pub use self::event::{Event, RequestId};
pub use self::options::EngineOptions;
pub use self::scheduler::Engine;

/// Positions of a prompt that are read together at least, and where it is cut.
pub(crate) const CHUNK: usize = 64;

/// Texts that take one step together, at most.
pub(crate) const ROWS: usize = 8;
