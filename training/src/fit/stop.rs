//! Asking a run to stop.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Shared by a run, which looks at it between steps, and by whoever may ask the run to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Asks to stop, with a reason of the caller's own, such as the number of a signal. Whether nobody had asked before.
    pub fn ask(&self, reason: NonZeroU8) -> bool {
        self.0.compare_exchange(0, reason.get(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The first reason that was given, once somebody asked.
    pub fn reason(&self) -> Option<NonZeroU8> {
        NonZeroU8::new(self.0.load(Ordering::Relaxed))
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.reason().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let stop = Stop::default();
        assert!(!stop.is_asked());
        let [first, second] = [2, 15].map(|signal| NonZeroU8::new(signal).expect("not zero"));
        assert!(stop.clone().ask(first) && !stop.ask(second));
        assert_eq!(stop.reason(), Some(first));
    }
}
