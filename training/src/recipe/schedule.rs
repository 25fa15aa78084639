//! The learning rate over a run: linear warm-up, perhaps a while at the peak, and down to a floor.

use std::f64::consts::PI;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::lr_scheduler::LrScheduler;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

/// How the learning rate comes down from peak to floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecayShape {
    /// Half a wave of the cosine, as in GPT-3 and nanoGPT.
    #[default]
    Cosine,
    /// A straight line (<https://arxiv.org/abs/2502.15938>).
    Linear,
}

impl DecayShape {
    /// From 1 down to 0 as `progress` goes from 0 to 1.
    fn at(self, progress: f64) -> f64 {
        match self {
            Self::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
            Self::Linear => 1.0 - progress,
        }
    }
}

/// `peak · (step + 1) / (warmup + 1)` during warm-up, then
/// `floor + (peak - floor) · shape(decayed)`, then `floor`; steps count from zero.
///
/// `progress` goes from 0 after warm-up to 1 at the end of the decay. It follows the steps, or the clock where a time limit
/// ends the run before its steps. `decayed` goes from 0 to 1 in the last `share` of it: all of it makes the schedule of GPT-3,
/// less makes warm-up, constant, decay (<https://arxiv.org/abs/2405.18392>).
#[derive(Clone, Debug)]
pub struct WarmupDecay {
    peak: f64,
    floor: f64,
    warmup_steps: usize,
    decay_steps: usize,
    shape: DecayShape,
    share: f64,
    step: usize,
    decay: Decay,
}

/// How far the decay has come where a time limit drives it, from 0 to 1; shared by the schedule, which the learner owns, and
/// the loop, which knows the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decay(Arc<AtomicU64>);

impl Decay {
    /// 0 where steps alone decide.
    pub(crate) fn progress(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, progress: f64) {
        self.0.store(progress.to_bits(), Ordering::Relaxed);
    }
}

impl WarmupDecay {
    /// A schedule that reaches `peak` after `warmup_steps`, and comes down by a cosine to `floor` at `decay_steps`.
    pub fn new(peak: f64, floor: f64, warmup_steps: usize, decay_steps: usize) -> Self {
        let (shape, share) = (DecayShape::Cosine, 1.0);
        Self { peak, floor, warmup_steps, decay_steps, shape, share, step: 0, decay: Decay::default() }
    }

    /// The same schedule, which stays at the peak until the last `share` of the steps after warm-up and then comes down as
    /// `shape` says.
    pub fn with_shape(self, shape: DecayShape, share: f64) -> Self {
        Self { shape, share, ..self }
    }

    /// What moves the decay ahead of the steps.
    pub(crate) fn decay(&self) -> Decay {
        self.decay.clone()
    }

    /// Whether the learning rate still rises at update number `step`.
    pub(crate) fn is_warming_up(&self, step: usize) -> bool {
        step <= self.warmup_steps
    }

    /// Updates from number `step` on until the learning rate is down, by steps alone.
    pub(crate) fn steps_until_floor(&self, step: usize) -> usize {
        self.decay_steps.saturating_sub(step)
    }

    /// The share of the decay that lies behind update number `step`, from 0 to 1.
    pub(crate) fn progress(&self, step: usize) -> f64 {
        let done = step.saturating_sub(self.warmup_steps);
        let all = self.decay_steps.saturating_sub(self.warmup_steps);
        let by_steps = if done >= all { 1.0 } else { done as f64 / all as f64 };
        by_steps.max(self.decay.progress())
    }

    /// The learning rate of update number `step`, counted from zero.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        let progress = self.progress(step);
        if progress >= 1.0 {
            return self.floor;
        }
        let decayed = ((progress - (1.0 - self.share)) / self.share).max(0.0);
        self.floor + (self.peak - self.floor) * self.shape.at(decayed)
    }
}

impl LrScheduler for WarmupDecay {
    type Record<B: Backend> = usize;

    fn step(&mut self) -> f64 {
        let learning_rate = self.at(self.step);
        self.step += 1;
        learning_rate
    }

    fn to_record<B: Backend>(&self) -> usize {
        self.step
    }

    fn load_record<B: Backend>(self, step: usize) -> Self {
        Self { step, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decay_ahead_of_the_steps_decides() {
        let schedule = WarmupDecay::new(1e-3, 1e-4, 100, 2000);
        let (early, late) = (schedule.at(200), schedule.at(1990));
        schedule.decay().set(0.5);
        assert_eq!((schedule.at(200), schedule.at(1990)), (0.00055, late));
        assert!(early > 0.00055 && schedule.at(50) < 0.00055, "warm-up stays");
        schedule.decay().set(1.0);
        assert_eq!(schedule.at(200), 1e-4);
    }

    #[test]
    fn a_share_of_decay_stays_at_the_peak_before_and_follows_the_clock() {
        let schedule = WarmupDecay::new(1.0, 0.2, 10, 110).with_shape(DecayShape::Linear, 0.4);
        let rates = [10, 69, 70, 90, 110].map(|step| schedule.at(step));
        for (rate, expected) in rates.into_iter().zip([1.0, 1.0, 1.0, 0.6, 0.2]) {
            assert!((rate - expected).abs() < 1e-12, "{rates:?}");
        }
        schedule.decay().set(0.8);
        assert!((schedule.at(20) - 0.6).abs() < 1e-12, "half of the decay lies behind it");
    }

    /// Values of nanoGPT's `get_lr` (learning rate 1e-3, floor 1e-4, 100 warm-up steps, decay over 2,000).
    #[test]
    fn equals_nanogpt() {
        let schedule = WarmupDecay::new(1e-3, 1e-4, 100, 2000);
        for (step, expected) in [
            (0, 9.900990099009901e-06),
            (99, 0.0009900990099009901),
            (100, 0.001),
            (1050, 0.00055),
            (1525, 0.000231801948466054),
            (2000, 0.0001),
            (5000, 0.0001),
        ] {
            assert!((schedule.at(step) - expected).abs() < 1e-15, "step {step}: {}", schedule.at(step));
        }
    }
}
