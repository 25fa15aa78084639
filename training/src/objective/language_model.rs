//! What one step computes: the loss of its micro-batches and the mean of their gradients.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Int, Tensor, TensorData};
use burn_train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use kiln_datasets::Batch;
use kiln_model::{AutodiffBackend, Backend, GptModel};

/// A [`GptModel`] as the learner sees it.
#[derive(Module, Debug)]
pub struct LanguageModel<B: Backend> {
    /// The model.
    pub gpt: GptModel<B>,
}

/// The windows of one step, still on the host.
#[derive(Clone, Debug)]
pub struct MicroBatches(pub Vec<Batch>);

/// What a step reports.
#[derive(Clone, Debug, Default)]
pub struct StepOutput {
    /// Updates done when this one is, counted from 1.
    pub step: usize,
    /// Mean loss over the step's tokens, in nats.
    pub loss: f64,
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Tokens seen since the run began.
    pub tokens: u64,
}

impl ItemLazy for StepOutput {
    type ItemSync = Self;

    fn sync(self) -> Self {
        self
    }
}

impl<B: AutodiffBackend> TrainStep for LanguageModel<B> {
    type Input = MicroBatches;
    type Output = StepOutput;

    /// The mean over the step's tokens is the mean of the micro-batches' losses, each weighted by its share of the
    /// tokens; losses scaled by it make the summed gradients its gradient.
    fn step(&self, MicroBatches(batches): MicroBatches) -> TrainOutput<StepOutput> {
        let total: usize = batches.iter().map(Batch::num_tokens).sum();
        let device = self.gpt.wte.weight.device();
        let single = batches.len() == 1;
        let mut accumulator = GradientsAccumulator::new();
        let mut mean: Option<Tensor<B::InnerBackend, 1>> = None;
        let mut gradients = None;
        for batch in batches {
            let share = batch.num_tokens() as f64 / total as f64;
            let (tokens, targets) = upload(&batch, &device);
            let loss = self.gpt.loss(tokens, targets);
            let loss = if single { loss } else { loss * share };
            let value = loss.clone().inner();
            mean = Some(match mean {
                Some(sum) => sum + value,
                None => value,
            });
            let mine = GradientsParams::from_grads(loss.backward(), self);
            if single {
                gradients = Some(mine);
            } else {
                accumulator.accumulate(self, mine);
            }
        }
        TrainOutput {
            grads: gradients.unwrap_or_else(|| accumulator.grads()),
            item: StepOutput { loss: mean.map_or(f64::NAN, scalar), ..StepOutput::default() },
        }
    }
}

impl<B: Backend> InferenceStep for LanguageModel<B> {
    type Input = Batch;
    type Output = StepOutput;

    fn step(&self, batch: Batch) -> StepOutput {
        let (tokens, targets) = upload(&batch, &self.gpt.wte.weight.device());
        StepOutput { loss: scalar(self.gpt.loss(tokens, targets)), ..StepOutput::default() }
    }
}

/// Inputs and targets on the device, both `[batch, seq]`.
fn upload<B: Backend>(batch: &Batch, device: &B::Device) -> (Tensor<B, 2, Int>, Tensor<B, 2, Int>) {
    let tensor = |values: &[i32]| {
        Tensor::from_data(TensorData::new(values.to_vec(), [batch.windows, batch.seq]), device)
    };
    (tensor(&batch.inputs), tensor(&batch.targets))
}

fn scalar<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    tensor.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}
