//! Fine-tuning: a module learns from examples that are known one by one, in an order of its own for each pass over them.

use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::path::Path;

use burn::module::AutodiffModule;
use burn_train::{InferenceStep, TrainStep};
use kiln_model::{AutodiffBackend, Backend, GptModel, Parameter, parameters};

use super::examples::Order;
use super::{Learns, MicroBatch, MicroBatches, Objective};
use crate::TrainingConfig;
use crate::error::Result;
use crate::recipe::num_trained;
use crate::run::{EvaluationRecord, StepRecord};

/// One example.
pub trait Example: Clone + Debug + Send + Sync + 'static {
    /// Tokens that the module reads of it.
    fn num_tokens(&self) -> usize;

    /// Targets it adds to the mean loss.
    fn num_targets(&self) -> usize;
}

/// Examples that one pass reads.
#[derive(Clone, Debug)]
pub struct Examples<T>(pub Vec<T>);

impl<T: Example> MicroBatch for Examples<T> {
    fn num_tokens(&self) -> usize {
        self.0.iter().map(T::num_tokens).sum()
    }

    fn num_targets(&self) -> usize {
        self.0.iter().map(T::num_targets).sum()
    }

    fn split(self, most: usize) -> Vec<Self> {
        self.0.chunks(most).map(|part| Self(part.to_vec())).collect()
    }
}

/// A module around a language model.
pub trait Tuned<B: Backend> {
    /// The language model in it.
    fn gpt(&self) -> &GptModel<B>;

    /// Floating-point operations of a step on one token, forward and backward, where all weights learn.
    fn flops_per_token(&self) -> f64 {
        self.gpt().config().flops_per_token()
    }
}

/// How a run saves what it has learned.
pub struct Saving<M> {
    /// Writes what belongs into a model directory beside the weights.
    pub tokenizer: Writing<()>,
    /// Writes the weights, or the adapter.
    pub model: Writing<M>,
}

/// Writes something into a directory.
pub type Writing<M> = Box<dyn Fn(&M, &Path) -> Result<()> + Send + Sync>;

/// Writes a text with the current model, or gives up where its second argument says so.
pub type Sampling<M> = Box<dyn Fn(&M, &mut dyn FnMut() -> bool) -> String + Send + Sync>;

/// Learns from examples.
pub struct Tuning<B: AutodiffBackend, M: AutodiffModule<B>, T> {
    train: Vec<T>,
    valid: Vec<T>,
    order: Order,
    batch_size: usize,
    saving: Saving<M::InnerModule>,
    sample: Option<Sampling<M::InnerModule>>,
    backend: PhantomData<fn() -> B>,
}

impl<B: AutodiffBackend, M: AutodiffModule<B>, T: Example> Tuning<B, M, T> {
    /// Learns from `train`, and is evaluated on `valid`.
    ///
    /// # Panics
    ///
    /// If either is empty.
    pub fn new(
        train: Vec<T>,
        valid: Vec<T>,
        training: &TrainingConfig,
        saving: Saving<M::InnerModule>,
    ) -> Self {
        assert!(!train.is_empty() && !valid.is_empty(), "no examples to train on, or none to evaluate on");
        let TrainingConfig { seed, batch_size, grad_accumulation, .. } = *training;
        let order = Order::new(seed, train.len(), batch_size * grad_accumulation);
        Self { train, valid, order, batch_size, saving, sample: None, backend: PhantomData }
    }

    /// Shows a text by `sample` at each evaluation.
    pub fn with_sample(self, sample: Sampling<M::InnerModule>) -> Self {
        Self { sample: Some(sample), ..self }
    }
}

impl<B, M, T> Objective<B> for Tuning<B, M, T>
where
    B: AutodiffBackend,
    T: Example,
    M: Learns<B, Batch = Examples<T>>
        + Tuned<B>
        + AutodiffModule<B>
        + TrainStep<Input = MicroBatches<Examples<T>>, Output = StepRecord>
        + Display
        + 'static,
    M::InnerModule: Learns<B::InnerBackend, Batch = Examples<T>>
        + InferenceStep<Input = Examples<T>, Output = EvaluationRecord>,
{
    type Batch = Examples<T>;
    type Module = M;
    type Inner = M::InnerModule;

    fn describe(&self, module: &M) -> String {
        let config = module.gpt().config();
        let parameters: usize = self.parameters(module).iter().map(Parameter::num_elements).sum();
        let (learned, millions) = (num_trained::<B, _>(module), |count: usize| count as f64 / 1e6);
        let (layers, width) = (config.n_layers, config.d_model);
        let model = format!("{:.2} M parameters, {layers} layers × {width}", millions(parameters));
        match learned < parameters {
            true => format!("{model}; {:.2} M of them learn", millions(learned)),
            false => model,
        }
    }

    fn parameters(&self, module: &M) -> Vec<Parameter> {
        // By the names of the model itself, whatever is around it.
        let own = |name: &str| {
            ["classifier.", "gpt."]
                .iter()
                .fold(name, |name, outer| name.strip_prefix(outer).unwrap_or(name))
                .to_owned()
        };
        parameters(module)
            .into_iter()
            .map(|parameter| Parameter { name: own(&parameter.name), ..parameter })
            .collect()
    }

    fn batches(&self, step: usize) -> Vec<Examples<T>> {
        let examples = self.order.step(step);
        let batch =
            |numbers: &[usize]| Examples(numbers.iter().map(|number| self.train[*number].clone()).collect());
        examples.chunks(self.batch_size).map(batch).collect()
    }

    fn num_validation_batches(&self) -> usize {
        self.valid.len().div_ceil(self.batch_size)
    }

    fn validation_batches(&self) -> Box<dyn Iterator<Item = Examples<T>> + '_> {
        Box::new(self.valid.chunks(self.batch_size).map(|part| Examples(part.to_vec())))
    }

    fn flops_per_token(&self, module: &M) -> f64 {
        let whole = module.flops_per_token();
        // Of three products with each matrix, the one that makes its gradient is left out.
        if module.gpt().lora().is_some() { whole * 2.0 / 3.0 } else { whole }
    }

    fn save_tokenizer(&self, directory: &Path) -> Result<()> {
        (self.saving.tokenizer)(&(), directory)
    }

    fn save_model(&self, model: &M::InnerModule, directory: &Path) -> Result<()> {
        (self.saving.model)(model, directory)
    }

    fn sample(&self, model: &M::InnerModule, stop: &mut dyn FnMut() -> bool) -> Option<String> {
        self.sample.as_ref().map(|sample| sample(model, stop))
    }
}
