//! What a run needs in memory, and what the machine has.

use std::fmt;

use kiln_model::{CHUNK_LOGITS, ComputePrecision, GPU_CHUNK_LOGITS, GptConfig, LoraConfig, parameter_shapes};
use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

use crate::TrainingConfig;
use crate::error::{Error, Result};
use crate::recipe::Frozen;

/// Of an f32.
const BYTES: u64 = 4;
/// The program itself, its buffers and the dashboard.
const PROGRAM: u64 = 64 << 20;

/// Where the tensors of a run live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// In the machine's memory, with dropout that draws its masks anew.
    Host,
    /// In the machine's memory, with dropout that keeps its masks.
    HostComposed,
    /// On a GPU through libtorch, with as many bytes free, where that is known.
    LibtorchGpu(Option<u64>),
    /// On another device, with as many bytes free, where that is known.
    Device(Option<u64>),
}

impl DeviceKind {
    /// Bytes that are free there.
    fn available(self) -> Option<u64> {
        match self {
            Self::Host | Self::HostComposed => available(),
            Self::LibtorchGpu(free) | Self::Device(free) => free,
        }
    }

    /// Whether dropout of attention keeps its masks.
    fn keeps_masks(self) -> bool {
        matches!(self, Self::HostComposed | Self::Device(_))
    }

    /// Most logits that are held at once.
    fn chunk_logits(self) -> usize {
        if matches!(self, Self::LibtorchGpu(_)) { GPU_CHUNK_LOGITS } else { CHUNK_LOGITS }
    }
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
    /// The optimizer's moments: AdamW's two for each parameter, of which Muon needs one.
    pub optimizer: u64,
    /// What the forward pass keeps for the backward pass, and what that needs meanwhile.
    pub activations: u64,
    /// Scores of the vocabulary.
    pub logits: u64,
    /// Tokens and targets of all windows of a step.
    pub batches: u64,
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
    /// [`Error::Memory`] if it does not fit into what is free, with the largest micro-batch that does; [`Error::Freeze`] if
    /// there is no such parameter to freeze.
    pub fn new(config: &GptConfig, training: &TrainingConfig, device: DeviceKind) -> Result<Self> {
        let trained = trained_parameters(config, &training.freeze)?;
        let parameters = Parameters { all: config.num_parameters(), trained };
        Self::within(config, training, parameters, device, device.available())
    }

    /// [`new`](Self::new) for a model of which only an adapter learns.
    ///
    /// # Errors
    ///
    /// As there, and [`Error::Model`] if such a model has no such adapter.
    pub fn with_lora(
        config: &GptConfig,
        lora: &LoraConfig,
        training: &TrainingConfig,
        device: DeviceKind,
    ) -> Result<Self> {
        let trained = lora.num_parameters(config)?;
        let parameters = Parameters { all: config.num_parameters() + trained, trained };
        Self::within(config, training, parameters, device, device.available())
    }

    fn within(
        config: &GptConfig,
        training: &TrainingConfig,
        trained: Parameters,
        device: DeviceKind,
        available: Option<u64>,
    ) -> Result<Self> {
        let plan = |micro_batch| Self::of(config, training, trained, device, micro_batch, available);
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
        let small = TrainingConfig { batch_size: 1, grad_accumulation: 1, ..training.clone() };
        let one_fits = Self::of(config, &small, trained, device, 1, available).fits();
        Err(Error::Memory {
            micro_batch: wanted.micro_batch,
            needed: bytes(wanted.total()),
            available: bytes(available.unwrap_or_default()),
            largest,
            too_many_windows: largest == 0 && one_fits,
        })
    }

    fn of(
        config: &GptConfig,
        training: &TrainingConfig,
        parameters: Parameters,
        device: DeviceKind,
        micro_batch: usize,
        available: Option<u64>,
    ) -> Self {
        let number = |count: usize| count as u64;
        let trained = number(parameters.trained) * BYTES;
        let several = micro_batch < training.batch_size || training.grad_accumulation > 1;
        let tokens = number(micro_batch).saturating_mul(number(config.context_length));
        let activations = number(config.activations_per_token(device.keeps_masks()));
        let bytes = if training.precision == ComputePrecision::Bf16 { BYTES / 2 } else { BYTES };
        let vocab = number(config.vocab_size);
        // Logits, their softmax, and what the slope of a softcap is made of.
        let scores = if config.softcap().is_some() { 3 } else { 2 };
        Self {
            micro_batch,
            weights: number(parameters.all) * BYTES,
            gradients: if several { 2 * trained } else { trained },
            optimizer: 2 * trained,
            activations: tokens.saturating_mul(activations * bytes),
            logits: tokens.saturating_mul(vocab).min(number(device.chunk_logits()).max(vocab))
                * scores
                * BYTES,
            batches: number(training.batch_size)
                .saturating_mul(number(training.grad_accumulation))
                .saturating_mul(number(config.context_length))
                .saturating_mul(2 * BYTES),
            program: PROGRAM,
            available,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        let parts = [self.weights, self.gradients, self.optimizer, self.logits, self.batches, self.program];
        parts.into_iter().fold(self.activations, u64::saturating_add)
    }

    fn fits(&self) -> bool {
        self.available.is_none_or(|available| self.total() <= available)
    }
}

/// Numbers in the parameters of a model.
#[derive(Clone, Copy)]
struct Parameters {
    all: usize,
    /// In those that learn.
    trained: usize,
}

/// Numbers in the parameters that are not frozen.
fn trained_parameters(config: &GptConfig, freeze: &[String]) -> Result<usize> {
    if freeze.is_empty() {
        return Ok(config.num_parameters());
    }
    let shapes = parameter_shapes(config);
    let names: Vec<&str> = shapes.iter().map(|(name, _)| name.as_str()).collect();
    let frozen = Frozen::new(freeze, &names)?;
    let trained = shapes.iter().filter(|(name, _)| !frozen.contains(name));
    Ok(trained.map(|(_, shape)| shape.iter().product::<usize>()).sum())
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
            ("batches", self.batches),
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

    fn within(
        config: &GptConfig,
        training: &TrainingConfig,
        device: DeviceKind,
        available: Option<u64>,
    ) -> Result<MemoryPlan> {
        let trained = trained_parameters(config, &training.freeze)?;
        let parameters = Parameters { all: config.num_parameters(), trained };
        MemoryPlan::within(config, training, parameters, device, available)
    }

    fn plan(micro_batch_size: usize, available: u64) -> Result<MemoryPlan> {
        let config = GptConfig::preset("gpt2").expect("a listed preset");
        let training = TrainingConfig { batch_size: 32, micro_batch_size, ..TrainingConfig::default() };
        within(&config, &training, DeviceKind::Host, Some(available))
    }

    #[test]
    fn parameters_cost_sixteen_bytes_each_and_activations_the_rest() {
        let plan = plan(0, u64::MAX).expect("it fits");
        assert_eq!(plan.micro_batch, 32);
        assert_eq!(plan.weights + plan.gradients + plan.optimizer, 16 * 124_439_808);
    }

    #[test]
    fn sixteen_bits_halve_the_activations_and_nothing_else() {
        let config = GptConfig::preset("gpt2").expect("a listed preset");
        let plan = |precision| {
            let training = TrainingConfig { precision, batch_size: 64, ..TrainingConfig::default() };
            within(&config, &training, DeviceKind::LibtorchGpu(None), None).expect("it fits")
        };
        let (full, half) = (plan(ComputePrecision::F32), plan(ComputePrecision::Bf16));
        assert_eq!(full.activations, 2 * half.activations);
        assert_eq!(full.total() - full.activations, half.total() - half.activations);
        // What an H200 held at the peak of such a step, its driver's share included.
        let measured = 24_709_u64 << 20;
        assert!(half.total().abs_diff(measured) * 100 < measured * 15, "{half}");
    }

    #[test]
    fn what_is_frozen_has_neither_gradient_nor_moments() {
        let config = GptConfig::preset("gpt2").expect("a listed preset");
        let freeze = vec!["wte.*".to_owned()];
        let training = TrainingConfig { freeze, ..TrainingConfig::default() };
        let plan = within(&config, &training, DeviceKind::Host, None).expect("it fits");
        assert_eq!(plan.weights, 4 * 124_439_808);
        assert_eq!(plan.gradients + plan.optimizer, 12 * (124_439_808 - 50_257 * 768));
    }

    #[test]
    fn of_a_model_with_an_adapter_only_that_has_gradients_and_moments() {
        let config = GptConfig::preset("gpt2").expect("a listed preset");
        let (lora, training) = (LoraConfig::default(), TrainingConfig::default());
        let device = DeviceKind::LibtorchGpu(None);
        let plan = MemoryPlan::with_lora(&config, &lora, &training, device).expect("it fits");
        assert_eq!(plan.weights, 4 * (124_439_808 + 294_912));
        assert_eq!(plan.gradients + plan.optimizer, 12 * 294_912);
    }

    #[test]
    fn what_does_not_fit_is_computed_in_parts_or_refused_with_what_does() {
        let gibibytes = 16 << 30;
        let automatic = plan(0, gibibytes).expect("parts of it fit");
        assert!((1..32).contains(&automatic.micro_batch) && automatic.total() <= gibibytes);
        assert!(plan(automatic.micro_batch, gibibytes).is_ok());
        let error = plan(automatic.micro_batch + 1, gibibytes).expect_err("too much");
        assert!(error.to_string().contains("16.0 GiB are free"), "{error}");
        let largest = |error: &Error| if let Error::Memory { largest, .. } = error { *largest } else { 99 };
        assert_eq!(largest(&error), automatic.micro_batch);
        assert_eq!(largest(&plan(0, 1 << 30).expect_err("not even the weights")), 0);
    }
}
