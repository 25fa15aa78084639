//! Control-C while a reply runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::SigId;
use signal_hook::consts::SIGINT;

/// Takes note of Control-C as long as it lives, in place of the end of the program.
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    id: SigId,
}

impl Interrupt {
    pub fn watch() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let id = signal_hook::flag::register(SIGINT, Arc::clone(&asked));
        Ok(Self { asked, id: id.context("a signal handler could not be set")? })
    }

    /// Whether it was pressed.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.id);
    }
}
