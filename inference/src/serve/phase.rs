//! How far a server is from its end.

/// A server ends in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It answers.
    Serving,
    /// It was told to end: it finishes what it has begun, and takes nothing new.
    Draining,
    /// Its time is up: what is not finished is cut off.
    Over,
}
