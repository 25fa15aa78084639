//! The clock of a run: how long it has trained, and how its time limit moves the schedule.

use std::time::{Duration, Instant};

use kiln_model::AutodiffBackend;

use super::strategy::Fit;
use crate::objective::Objective;

/// The limit moves the schedule only where less than this share of the steps fits into it: a machine's speed varies.
const OUT_OF_REACH: f64 = 0.98;

/// How long a run has trained, all its processes together and pauses left out, and how long it may.
pub(super) struct Clock {
    started: Instant,
    /// Seconds before this process took over.
    earlier: f64,
    limit: Option<f64>,
}

impl Clock {
    /// A clock that goes on after `earlier` seconds; `max_minutes` as in `[training]`.
    pub(super) fn new(earlier: f64, max_minutes: f64) -> Self {
        let limit = (max_minutes > 0.0).then_some(max_minutes * 60.0);
        Self { started: Instant::now(), earlier, limit }
    }

    /// Seconds trained.
    pub(super) fn seconds(&self) -> f64 {
        self.earlier + self.started.elapsed().as_secs_f64()
    }

    /// Seconds until the limit, where there is one.
    pub(super) fn left(&self) -> Option<f64> {
        self.limit.map(|limit| limit - self.seconds())
    }

    /// Does not count time in which nothing was trained.
    pub(super) fn leave_out(&mut self, pause: Duration) {
        self.started += pause;
    }
}

impl<B: AutodiffBackend, O: Objective<B>> Fit<B, O> {
    /// Lets the learning rate come down by the time limit where that ends the run before its steps.
    pub(super) fn keep_pace(&mut self) {
        let Some(left) = self.clock.left() else { return };
        let Some(seconds) = self.work.screen.seconds_per_step() else { return };
        let (schedule, step) = (&self.work.schedule, self.work.state.step);
        let decay = schedule.decay();
        let steps = schedule.steps_until_floor(step) as f64;
        let fit = left.max(0.0) / seconds;
        if schedule.is_warming_up(step) || (decay.progress() == 0.0 && fit >= steps * OUT_OF_REACH) {
            return;
        }
        let before = schedule.progress(step - 1);
        decay.set(before + (1.0 - before) / (fit.min(steps) + 1.0));
        self.work.state.decay = decay.progress();
        self.work.screen.update(|progress| progress.on_fewer_steps(step + fit as usize));
    }
}
