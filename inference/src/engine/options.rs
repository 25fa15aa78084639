//! What an engine has room for.

/// The room of an [`Engine`](super::Engine).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Texts that run at the same time, at least 1; the others wait.
    pub slots: usize,
    /// Positions of texts that are over whose keys and values stay, for requests that start as they did; so many as there was room
    /// for in their caches.
    pub kept_positions: usize,
}

impl EngineOptions {
    /// Room for so many texts at a time, which keeps nothing of those that are over.
    pub fn new(slots: usize) -> Self {
        Self { slots, kept_positions: 0 }
    }

    /// Keeps what was read of texts that are over, up to so many positions.
    pub fn keeping(self, kept_positions: usize) -> Self {
        Self { kept_positions, ..self }
    }
}
