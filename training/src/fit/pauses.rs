//! What the loop attends to between its steps: wishes to stop, save or pause, and its surroundings.

use std::time::{Duration, Instant};

use kiln_model::AutodiffBackend;

use super::run::Stopped;
use super::strategy::Fit;
use crate::error::Result;
use crate::machine::Usage;
use crate::objective::{Interrupt, Objective};
use crate::view::Status;

/// How often a paused run looks for the key that resumes it.
const PAUSE_POLL: Duration = Duration::from_millis(100);

/// How often the run looks at what surrounds it.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// What was last seen of the machine.
pub(super) struct Surroundings {
    looked: Instant,
    usage: Usage,
    memory: Option<u64>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { looked: Instant::now(), usage: Usage::default(), memory: None }
    }
}

impl Surroundings {
    /// Bytes of memory in use, where the system tells.
    pub(super) fn memory(&self) -> Option<u64> {
        self.memory
    }
}

impl<B: AutodiffBackend, O: Objective<B>> Fit<B, O> {
    /// Breaks a step off when the run is to end.
    pub(super) fn interrupt(&self) -> Interrupt {
        let controls = self.work.controls.clone();
        let end = self.clock.left().and_then(|left| Duration::try_from_secs_f64(left).ok());
        let end = end.and_then(|left| Instant::now().checked_add(left));
        Interrupt::when(move || controls.stop().is_some() || end.is_some_and(|end| Instant::now() >= end))
    }

    /// Keys, signals and the time budget.
    pub(super) fn asked_to_stop(&mut self) -> Result<Option<Stopped>> {
        let mut waiting = None;
        loop {
            if let Some(stopped) = self.work.controls.stop() {
                return Ok(Some(stopped));
            }
            if self.work.controls.take_save() {
                self.checkpoint()?;
            }
            if waiting.is_none() && self.clock.left().is_some_and(|left| left <= 0.0) {
                return Ok(Some(Stopped::TimeBudget));
            }
            if self.work.controls.paused() {
                self.work.screen.set_status(Status::Paused);
                waiting.get_or_insert_with(Instant::now);
                std::thread::sleep(PAUSE_POLL);
            } else {
                if let Some(since) = waiting {
                    self.clock.leave_out(since.elapsed());
                    self.work.screen.set_status(Status::Training);
                }
                return Ok(None);
            }
        }
    }

    /// Now and then: whether the run directory is still there, and how much memory is in use.
    pub(super) fn watch_surroundings(&mut self) -> Result<()> {
        if self.surroundings.looked.elapsed() < WATCH_INTERVAL {
            return Ok(());
        }
        self.surroundings.looked = Instant::now();
        self.work.run.directory.check()?;
        self.surroundings.memory = self.surroundings.usage.bytes();
        Ok(())
    }

    /// The last things before a run ends early.
    pub(super) fn shut_down(&mut self, stopped: Stopped) -> Result<()> {
        self.work.screen.set_status(Status::Stopping);
        let state = &self.work.state;
        if stopped == Stopped::TimeBudget && state.evaluated != Some(state.step) {
            self.evaluate()?;
        }
        self.checkpoint()?;
        if self.work.state.best.is_none() && self.work.state.step > 0 {
            // Without an evaluation there is no best model, but something to try out.
            self.save_model()?;
        }
        Ok(())
    }
}
