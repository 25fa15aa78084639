//! Every number of a training recipe. The defaults are GPT-2's and nanoGPT's, not Burn's.

use std::time::Duration;

use kiln_model::{ComputePrecision, Role};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::{ByRole, DecayShape, WarmupDecay};

/// What a run is trained with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recipe {
    /// The optimizer's numbers.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the run.
    pub schedule: ScheduleConfig,
    /// Steps, batches, evaluation.
    pub training: TrainingConfig,
}

impl Recipe {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with key and value.
    pub fn validate(&self) -> Result<()> {
        self.optimizer.validate()?;
        self.schedule.validate(&self.optimizer)?;
        self.training.validate()
    }
}

/// The `[optimizer]` section: AdamW, and Muon for the matrices of layers where it has a learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Peak learning rate of AdamW, reached after warm-up.
    pub learning_rate: f64,
    /// Peak learning rate of Muon, which follows the same schedule; 0 leaves all parameters to AdamW.
    pub muon_learning_rate: f64,
    /// Decay of Muon's running mean of gradients.
    pub muon_momentum: f64,
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay of matrices; biases and norms never decay.
    pub weight_decay: f64,
    /// Largest global norm of the gradients; 0 turns clipping off.
    pub grad_clip: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 6e-4,
            muon_learning_rate: 0.0,
            muon_momentum: 0.95,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            grad_clip: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with key and value.
    pub fn validate(&self) -> Result<()> {
        let ensure = |key, value: f64, holds: bool, reason| ensure("optimizer", key, value, holds, reason);
        let Self {
            learning_rate,
            muon_learning_rate,
            muon_momentum,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            grad_clip,
        } = *self;
        ensure(
            "learning_rate",
            learning_rate,
            learning_rate.is_finite() && learning_rate > 0.0,
            "must be positive",
        )?;
        ensure(
            "muon_learning_rate",
            muon_learning_rate,
            muon_learning_rate.is_finite() && muon_learning_rate >= 0.0,
            "must not be negative",
        )?;
        for (key, decay) in [("muon_momentum", muon_momentum), ("beta1", beta1), ("beta2", beta2)] {
            ensure(key, decay, (0.0..1.0).contains(&decay), "must be at least 0 and less than 1")?;
        }
        ensure("epsilon", epsilon, epsilon.is_finite() && epsilon > 0.0, "must be positive")?;
        ensure(
            "weight_decay",
            weight_decay,
            weight_decay.is_finite() && weight_decay >= 0.0,
            "must not be negative",
        )?;
        ensure("grad_clip", grad_clip, grad_clip.is_finite() && grad_clip >= 0.0, "must not be negative")
    }

    /// Who is updated by what, with the decay groups of GPT-2.
    pub fn by_role(&self) -> ByRole {
        ByRole { config: *self, decays: Role::decays }
    }
}

/// The `[schedule]` section: linear warm-up, then down to a floor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Steps until the peak learning rate.
    pub warmup_steps: usize,
    /// How the learning rate comes down.
    pub decay: DecayShape,
    /// The share of the steps after warm-up in which it does so: before, it stays at the peak.
    pub decay_share: f64,
    /// Step at which the decay ends; 0 means the last one.
    pub decay_steps: usize,
    /// Learning rate after the decay.
    pub min_learning_rate: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            warmup_steps: 0,
            decay: DecayShape::Cosine,
            decay_share: 1.0,
            decay_steps: 0,
            min_learning_rate: 0.0,
        }
    }
}

impl ScheduleConfig {
    /// Checks the values against the peak learning rate.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with key and both values.
    pub fn validate(&self, optimizer: &OptimizerConfig) -> Result<()> {
        let Self { warmup_steps, decay_share, decay_steps, min_learning_rate, .. } = *self;
        let is_share = decay_share > 0.0 && decay_share <= 1.0;
        ensure("schedule", "decay_share", decay_share, is_share, "must be more than 0 and at most 1")?;
        let peak = optimizer.learning_rate;
        let reason = format!("must be between 0 and optimizer.learning_rate = {peak}");
        ensure(
            "schedule",
            "min_learning_rate",
            min_learning_rate,
            (0.0..=peak).contains(&min_learning_rate),
            reason,
        )?;
        let reason =
            format!("must be more than schedule.warmup_steps = {warmup_steps}, or 0 for the last step");
        ensure("schedule", "decay_steps", decay_steps, decay_steps == 0 || decay_steps > warmup_steps, reason)
    }

    /// The schedule of a run of `steps` steps.
    pub fn scheduler(&self, optimizer: &OptimizerConfig, steps: usize) -> WarmupDecay {
        let Self { warmup_steps, decay, decay_share, decay_steps, min_learning_rate } = *self;
        let decay_steps = if decay_steps == 0 { steps } else { decay_steps };
        WarmupDecay::new(optimizer.learning_rate, min_learning_rate, warmup_steps, decay_steps)
            .with_shape(decay, decay_share)
    }
}

/// The `[training]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Optimizer updates.
    pub steps: usize,
    /// Windows in a batch.
    pub batch_size: usize,
    /// Batches whose gradients are averaged into one update.
    pub grad_accumulation: usize,
    /// Windows that are computed at a time: a larger batch is computed in parts, with the same result but for rounding
    /// (and dropout's draws). 0 means as many as fit into memory.
    pub micro_batch_size: usize,
    /// What a step is computed in; weights, moments and the loss are f32 in any case.
    pub precision: ComputePrecision,
    /// Steps between two evaluations.
    pub eval_interval: usize,
    /// Batches of an evaluation; 0 reads the whole validation split.
    pub eval_batches: usize,
    /// Steps between two checkpoints; 0 writes them at evaluations only.
    pub checkpoint_interval: usize,
    /// Checkpoints kept.
    pub keep_checkpoints: usize,
    /// Evaluations without a better validation loss before the run stops early; 0 never stops it.
    pub patience: usize,
    /// Decides initial weights, data order and dropout.
    pub seed: u64,
    /// Where the run is written; empty for the next free `runs/NAME`.
    pub run_dir: String,
    /// Minutes after which the run stops with a checkpoint, all its processes together; 0 for no limit. Where they end before
    /// the steps, the learning rate comes down by then.
    pub max_minutes: f64,
    /// Whether the run writes event files for TensorBoard as well.
    pub tensorboard: bool,
    /// Parameters that stay as they are, by their name or that of a layer, such as `wte` or `h.0`; `*` stands for any text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 2000,
            batch_size: 12,
            grad_accumulation: 1,
            micro_batch_size: 0,
            precision: ComputePrecision::F32,
            eval_interval: 250,
            eval_batches: 0,
            checkpoint_interval: 0,
            keep_checkpoints: 2,
            patience: 0,
            seed: 1337,
            run_dir: String::new(),
            max_minutes: 0.0,
            tensorboard: false,
            freeze: Vec::new(),
        }
    }
}

impl TrainingConfig {
    /// Windows that are computed at a time.
    pub fn micro_batch(&self) -> usize {
        if self.micro_batch_size == 0 { self.batch_size } else { self.micro_batch_size.min(self.batch_size) }
    }

    /// How long the run may train, if there is a limit.
    pub fn time_limit(&self) -> Option<Duration> {
        (self.max_minutes > 0.0)
            .then(|| Duration::try_from_secs_f64(self.max_minutes * 60.0).unwrap_or(Duration::MAX))
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with key and value.
    pub fn validate(&self) -> Result<()> {
        let positive = [
            ("steps", self.steps),
            ("batch_size", self.batch_size),
            ("grad_accumulation", self.grad_accumulation),
            ("eval_interval", self.eval_interval),
            ("keep_checkpoints", self.keep_checkpoints),
        ];
        for (key, value) in positive {
            ensure("training", key, value, value > 0, "must be at least 1")?;
        }
        let minutes = self.max_minutes;
        ensure(
            "training",
            "max_minutes",
            minutes,
            minutes.is_finite() && minutes >= 0.0,
            "must not be negative",
        )
    }
}

fn ensure(
    section: &'static str,
    key: &'static str,
    value: impl ToString,
    holds: bool,
    reason: impl Into<String>,
) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::Config { section, key, value: value.to_string(), reason: reason.into() })
    }
}
