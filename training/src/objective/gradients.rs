//! The gradient of an optimizer step from its micro-batches.

use burn::module::AutodiffModule;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend as BurnBackend;
use burn_train::TrainOutput;
use kiln_model::{AutodiffBackend, Backend};

use super::{Learns, MicroBatch, MicroBatches, Outcome, add_sums};
use crate::run::{EvaluationRecord, StepRecord};

/// Loss and gradients of an optimizer step: the mean over the counted targets of all its micro-batches. Each one's mean
/// weighs by its share of them, so that the gradients add up to that of one large batch. A step that is broken off has no loss.
pub fn mean_gradients<B: AutodiffBackend, M>(
    module: &M,
    MicroBatches { batches, interrupt }: MicroBatches<M::Batch>,
) -> TrainOutput<StepRecord>
where
    M: Learns<B> + AutodiffModule<B>,
{
    let total: usize = batches.iter().map(M::Batch::num_targets).sum();
    let record = |loss: f64, sums: &[f64]| {
        let task = module.figures(sums, total);
        StepRecord { loss, task, ..StepRecord::default() }
    };
    if let [batch] = batches.as_slice() {
        let Outcome { loss, sums } = module.outcome(batch);
        let mean = loss.clone().inner();
        let grads = GradientsParams::from_grads(loss.backward(), module);
        // Read last: until then a GPU works on.
        return TrainOutput { grads, item: record(scalar(mean), &sums) };
    }
    let (mut gradients, mut sums) = (GradientsAccumulator::new(), Vec::new());
    let mut mean: Option<Tensor<B::InnerBackend, 1>> = None;
    for (index, batch) in batches.into_iter().enumerate() {
        if index > 0 && interrupt.obey() {
            return TrainOutput {
                grads: GradientsParams::new(),
                item: StepRecord { loss: f64::NAN, ..StepRecord::default() },
            };
        }
        // Where nothing counts, all losses are 0.
        let share = batch.num_targets() as f64 / total.max(1) as f64;
        let Outcome { loss, sums: more } = module.outcome(&batch);
        add_sums(&mut sums, &more);
        let loss = loss * share;
        let value = loss.clone().inner();
        mean = Some(match mean {
            Some(sum) => sum + value,
            None => value,
        });
        gradients.accumulate(module, GradientsParams::from_grads(loss.backward(), module));
    }
    TrainOutput { grads: gradients.grads(), item: record(mean.map_or(f64::NAN, scalar), &sums) }
}

/// What a batch comes to in an evaluation.
pub(crate) fn evaluated<B: Backend, M: Learns<B>>(module: &M, batch: &M::Batch) -> EvaluationRecord {
    let Outcome { loss, sums } = module.outcome(batch);
    let task = module.figures(&sums, batch.num_targets());
    EvaluationRecord { loss: scalar(loss), task, ..EvaluationRecord::default() }
}

/// The value of a tensor `[1]`.
pub(crate) fn scalar<B: BurnBackend>(tensor: Tensor<B, 1>) -> f64 {
    tensor.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}
