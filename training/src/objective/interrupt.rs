//! Breaking off an optimizer step.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Breaks a step off between two of its micro-batches: whoever asks a run to stop need not wait for a large step.
#[derive(Clone)]
pub struct Interrupt {
    asked: Arc<dyn Fn() -> bool + Send + Sync>,
    obeyed: Arc<AtomicBool>,
}

impl Interrupt {
    /// Breaks off once `asked` says so.
    pub fn when(asked: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { asked: Arc::new(asked), obeyed: Arc::default() }
    }

    /// Whether to break off now; whoever asks does.
    pub fn obey(&self) -> bool {
        let asked = (self.asked)();
        self.obeyed.fetch_or(asked, Ordering::Relaxed);
        asked
    }

    /// Whether the step broke off.
    pub fn is_obeyed(&self) -> bool {
        self.obeyed.load(Ordering::Relaxed)
    }
}

/// Never breaks off.
impl Default for Interrupt {
    fn default() -> Self {
        Self::when(|| false)
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").field("obeyed", &self.is_obeyed()).finish_non_exhaustive()
    }
}
