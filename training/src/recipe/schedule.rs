//! The learning rate over a run: linear warm-up, a cosine down, then a floor, as in GPT-3 and nanoGPT.

use std::f64::consts::PI;

use burn::lr_scheduler::LrScheduler;
use burn::tensor::backend::Backend;

/// `peak · (step + 1) / (warmup + 1)` during warm-up, then
/// `floor + (peak - floor) · (1 + cos(π · progress)) / 2`, then `floor`; steps count from zero.
#[derive(Clone, Debug)]
pub struct WarmupCosine {
    peak: f64,
    floor: f64,
    warmup_steps: usize,
    decay_steps: usize,
    step: usize,
}

impl WarmupCosine {
    /// A schedule that reaches `peak` after `warmup_steps` and `floor` at `decay_steps`.
    pub fn new(peak: f64, floor: f64, warmup_steps: usize, decay_steps: usize) -> Self {
        Self { peak, floor, warmup_steps, decay_steps, step: 0 }
    }

    /// The learning rate of update number `step`, counted from zero.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        if step >= self.decay_steps {
            return self.floor;
        }
        let progress = (step - self.warmup_steps) as f64 / (self.decay_steps - self.warmup_steps) as f64;
        self.floor + (self.peak - self.floor) * 0.5 * (1.0 + (PI * progress).cos())
    }
}

impl LrScheduler for WarmupCosine {
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

    /// Values of nanoGPT's `get_lr` (learning rate 1e-3, floor 1e-4, 100 warm-up steps, decay over 2,000).
    #[test]
    fn equals_nanogpt() {
        let schedule = WarmupCosine::new(1e-3, 1e-4, 100, 2000);
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
