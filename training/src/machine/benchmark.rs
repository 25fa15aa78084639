//! Timing whole training steps on random tokens.

use std::time::{Duration, Instant};

use burn::optim::Optimizer as _;
use burn_train::TrainStep;
use kiln_datasets::{Batch, mix};
use kiln_model::{AutodiffBackend, ComputePrecision, GptConfig};

use crate::error::{Error, Result};
use crate::machine::utilization::matmul_flops_per_second;
use crate::{ClipGlobalNorm, LanguageModel, MicroBatches, OptimizerConfig};

/// What a device did in a number of training steps.
#[derive(Clone, Debug)]
pub struct StepTimes {
    /// Each timed step.
    pub steps: Vec<Duration>,
    /// Tokens of a step.
    pub tokens: usize,
    /// Floating-point operations of the model on one token, forward and backward.
    pub flops_per_token: f64,
    /// Floating-point operations a second in a large matrix product on the same device.
    pub matmul_flops_per_second: f64,
}

/// Times steps of a new model: forward, backward, clipping, and the optimizer with decay groups. One step comes first that
/// is not timed. Stops when `enough` says so of the steps so far.
///
/// # Errors
///
/// [`Error::Model`] for an impossible architecture, or a precision that the device does not have.
pub fn time_steps<B: AutodiffBackend>(
    config: &GptConfig,
    optimizer: &OptimizerConfig,
    batch_size: usize,
    precision: ComputePrecision,
    device: &B::Device,
    mut enough: impl FnMut(&[Duration]) -> bool,
) -> Result<StepTimes> {
    let gpt = config.init::<B>(1337, device).and_then(|gpt| gpt.with_compute_precision(precision));
    let mut model = LanguageModel { gpt: gpt.map_err(Error::Model)? };
    let learning_rate = optimizer.learning_rate;
    let mut optimizer =
        ClipGlobalNorm::new(optimizer.by_role().init::<B, LanguageModel<B>>(), optimizer.grad_clip);
    let mut steps = Vec::new();
    for number in 0.. {
        let batch = random_batch(config, batch_size, number);
        let started = Instant::now();
        let output = TrainStep::step(&model, MicroBatches::from(vec![batch]));
        model = optimizer.step(learning_rate, model, output.grads);
        // An error of the device shows in the next step.
        let _ = B::sync(device);
        if number > 0 {
            steps.push(started.elapsed());
            if enough(&steps) {
                break;
            }
        }
    }
    Ok(StepTimes {
        steps,
        tokens: batch_size * config.context_length,
        flops_per_token: config.flops_per_token(),
        matmul_flops_per_second: matmul_flops_per_second::<B::InnerBackend>(precision, device),
    })
}

fn random_batch(config: &GptConfig, windows: usize, step: u64) -> Batch {
    let seq = config.context_length;
    let token = |index: usize| (mix(step, index as u64) % config.vocab_size as u64) as i32;
    Batch {
        inputs: (0..windows * seq).map(token).collect(),
        targets: (1..=windows * seq).map(token).collect(),
        windows,
        seq,
    }
}
