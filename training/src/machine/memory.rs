//! What a run needs in memory, and what the machine has.

use std::fmt;

use kiln_model::GptConfig;
use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

use crate::TrainingConfig;
use crate::error::{Error, Result};

/// Everything is computed in f32.
const BYTES: u64 = 4;
/// Logits that exist at a time, at most: the loss works through the positions in chunks.
const CHUNK_LOGITS: u64 = 1 << 24;
/// The program itself, its buffers and the dashboard.
const PROGRAM: u64 = 64 << 20;

/// Where the tensors of a run live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the machine's memory, with attention that never writes out its weights.
    Host,
    /// In the machine's memory, with attention composed of tensor operations.
    HostComposed,
    /// On a device whose memory is not known.
    Device,
}

/// Bytes that a run needs while it computes a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Windows that are computed at a time.
    pub micro_batch: usize,
    /// The parameters.
    pub weights: u64,
    /// Their gradients; twice where several micro-batches are added up.
    pub gradients: u64,
    /// AdamW's two moments.
    pub optimizer: u64,
    /// What the forward pass keeps for the backward pass, and what that needs meanwhile.
    pub activations: u64,
    /// Scores of the vocabulary.
    pub logits: u64,
    /// The program around it.
    pub program: u64,
    /// What is free; `None` where it is not known.
    pub available: Option<u64>,
}

impl MemoryPlan {
    /// The plan of a run with the micro-batch of `training`; where that is 0, with the largest that fits.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if it does not fit into what is free, with the largest micro-batch that does.
    pub fn new(config: &GptConfig, training: &TrainingConfig, place: Place) -> Result<Self> {
        let available = match place {
            Place::Host | Place::HostComposed => available(),
            Place::Device => None,
        };
        Self::within(config, training, place, available)
    }

    fn within(
        config: &GptConfig,
        training: &TrainingConfig,
        place: Place,
        available: Option<u64>,
    ) -> Result<Self> {
        let plan = |micro_batch| Self::of(config, training, place, micro_batch, available);
        let wanted = plan(training.micro_batch());
        if wanted.fits() {
            return Ok(wanted);
        }
        let (mut largest, mut too_large) = (0, wanted.micro_batch);
        while too_large - largest > 1 {
            let middle = largest + (too_large - largest) / 2;
            if plan(middle).fits() { largest = middle } else { too_large = middle }
        }
        if training.micro_batch_size == 0 && largest > 0 {
            return Ok(plan(largest));
        }
        let hint = match largest {
            0 => "not even a single window fits; choose a smaller model or model.context_length".to_owned(),
            _ => format!(
                "training.micro_batch_size = {largest} is the largest that fits, and a step stays the same"
            ),
        };
        Err(Error::Memory {
            micro_batch: wanted.micro_batch,
            needed: bytes(wanted.total()),
            available: bytes(available.unwrap_or_default()),
            hint,
        })
    }

    fn of(
        config: &GptConfig,
        training: &TrainingConfig,
        place: Place,
        micro_batch: usize,
        available: Option<u64>,
    ) -> Self {
        let number = |count: usize| count as u64;
        let GptConfig { vocab_size, context_length, d_model, n_layers, n_heads, d_ff, dropout, .. } = *config;
        let parameters = number(config.num_parameters()) * BYTES;
        let several = micro_batch < training.batch_size || training.grad_accumulation > 1;
        let tokens = number(micro_batch).saturating_mul(number(context_length));
        // Of each block and token: both norms' inputs and outputs, queries, keys, values and what attention made of
        // them, the hidden layer before and after its activation.
        let attention = match place {
            Place::Host => n_heads,
            // Weights, and what dropout made of them.
            _ => n_heads * context_length * if dropout > 0.0 { 3 } else { 2 },
        };
        let kept = number(n_layers) * number(8 * d_model + 2 * d_ff + attention) + number(4 * d_model);
        let passing = number(2 * d_ff + 4 * d_model);
        Self {
            micro_batch,
            weights: parameters,
            gradients: if several { 2 * parameters } else { parameters },
            optimizer: 2 * parameters,
            activations: tokens.saturating_mul((kept + passing) * BYTES),
            logits: tokens.saturating_mul(number(vocab_size)).min(CHUNK_LOGITS.max(number(vocab_size)))
                * 2
                * BYTES,
            program: PROGRAM,
            available,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        let fixed = self.weights + self.gradients + self.optimizer + self.logits + self.program;
        fixed.saturating_add(self.activations)
    }

    fn fits(&self) -> bool {
        self.available.is_none_or(|available| self.total() <= available)
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = if self.micro_batch == 1 { "window" } else { "windows" };
        writeln!(f, "memory for {} {windows} at a time:", self.micro_batch)?;
        for (name, size) in [
            ("weights", self.weights),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
            ("activations", self.activations),
            ("logits", self.logits),
            ("program", self.program),
            ("together", self.total()),
        ] {
            writeln!(f, "  {name:<12} {:>10}", bytes(size))?;
        }
        match self.available {
            Some(available) => write!(f, "  {:<12} {:>10}", "free", bytes(available)),
            None => write!(f, "  {:<12} {:>10}", "free", "unknown"),
        }
    }
}

/// `1.5 GiB`
fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// Memory that is free for this process, its container's limit included.
fn available() -> Option<u64> {
    let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(kind);
    let machine = system.available_memory();
    let limited = system.cgroup_limits().map_or(machine, |limits| limits.free_memory.min(machine));
    (limited > 0).then_some(limited)
}

/// Memory of this process.
pub(crate) struct Usage {
    system: System,
    process: Option<Pid>,
}

impl Default for Usage {
    fn default() -> Self {
        Self { system: System::new(), process: sysinfo::get_current_pid().ok() }
    }
}

impl Usage {
    /// Resident bytes, where the system tells.
    pub(crate) fn bytes(&mut self) -> Option<u64> {
        let process = self.process?;
        let kind = ProcessRefreshKind::nothing().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[process]), false, kind);
        self.system.process(process).map(sysinfo::Process::memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(micro_batch_size: usize, available: u64) -> Result<MemoryPlan> {
        let config = GptConfig::preset("gpt2").expect("a listed preset");
        let training = TrainingConfig { batch_size: 32, micro_batch_size, ..TrainingConfig::default() };
        MemoryPlan::within(&config, &training, Place::Host, Some(available))
    }

    #[test]
    fn parameters_cost_sixteen_bytes_each_and_activations_the_rest() {
        let plan = plan(0, u64::MAX).expect("it fits");
        assert_eq!(plan.micro_batch, 32);
        assert_eq!(plan.weights + plan.gradients + plan.optimizer, 16 * 124_439_808);
    }

    #[test]
    fn what_does_not_fit_is_computed_in_parts_or_refused_with_what_does() {
        let gibibytes = 16 << 30;
        let automatic = plan(0, gibibytes).expect("parts of it fit");
        assert!((1..32).contains(&automatic.micro_batch) && automatic.total() <= gibibytes);
        assert!(plan(automatic.micro_batch, gibibytes).is_ok());
        let message = plan(automatic.micro_batch + 1, gibibytes).expect_err("too much").to_string();
        let hint = format!("training.micro_batch_size = {} is the largest", automatic.micro_batch);
        assert!(message.contains("16.0 GiB are free") && message.contains(&hint), "{message}");
        let message = plan(0, 1 << 30).expect_err("not even the weights").to_string();
        assert!(message.contains("not even a single window"), "{message}");
    }
}
