//! What the loop attends to between its steps: wishes to stop, save or pause, and its surroundings.

use std::time::{Duration, Instant};

use kiln_model::AutodiffBackend;

use super::strategy::Fit;
use crate::Stopped;
use crate::error::Result;
use crate::view::Status;

/// How often a paused run looks for the key that continues it.
const PAUSE_POLL: Duration = Duration::from_millis(100);

/// How often the run looks at what surrounds it.
const LOOK_AROUND: Duration = Duration::from_secs(1);

impl<B: AutodiffBackend> Fit<B> {
    /// Keys, signals and the time budget.
    pub(super) fn asked_to_stop(&mut self) -> Result<Option<Stopped>> {
        let mut waiting = false;
        loop {
            if let Some(stopped) = self.work.controls.stop() {
                return Ok(Some(stopped));
            }
            if self.work.controls.take_save() {
                self.checkpoint()?;
            }
            let minutes = self.work.config.max_minutes;
            if minutes > 0.0 && self.started.elapsed().as_secs_f64() >= minutes * 60.0 {
                return Ok(Some(Stopped::TimeBudget));
            }
            if self.work.controls.paused() {
                self.work.view.update(|progress| progress.set_status(Status::Paused));
                waiting = true;
                std::thread::sleep(PAUSE_POLL);
            } else {
                if waiting {
                    self.work.view.update(|progress| progress.set_status(Status::Training));
                }
                return Ok(None);
            }
        }
    }

    /// Now and then: whether the run directory is still there, and how much memory is in use.
    pub(super) fn look_around(&mut self) -> Result<()> {
        if self.looked.elapsed() < LOOK_AROUND {
            return Ok(());
        }
        self.looked = Instant::now();
        self.work.run.check()?;
        let bytes = self.usage.bytes();
        self.work.view.update(|progress| progress.set_memory(bytes));
        Ok(())
    }

    /// The last things before a run ends early.
    pub(super) fn leave(&mut self, stopped: Stopped) -> Result<()> {
        self.work.view.update(|progress| progress.set_status(Status::Stopping));
        if stopped == Stopped::TimeBudget && self.state.evaluated != Some(self.state.step) {
            self.evaluate()?;
        }
        self.checkpoint()?;
        if self.state.best.is_none() && self.state.step > 0 {
            // Without an evaluation there is no best model, but something to try out.
            self.save_model()?;
        }
        Ok(())
    }
}
