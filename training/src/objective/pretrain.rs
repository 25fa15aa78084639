//! Pretraining: a language model learns to predict each next token of a corpus.

use std::path::Path;

use burn::module::Module;
use burn::tensor::backend::AutodiffBackend as BurnAutodiffBackend;
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use kiln_datasets::{Batch, Dataset, Order, Tokenizer, WindowSampler, Windows};
use kiln_model::{
    AutodiffBackend, Backend, Dtype, GptModel, Parameter, SpecialTokens, parameters, token_tensor,
};

use super::gradients::evaluated;
use super::{Learns, MicroBatch, MicroBatches, Objective, Outcome, mean_gradients};
use crate::TrainingConfig;
use crate::error::Result;
use crate::run::{EvaluationRecord, StepRecord, ValidationText};

/// A [`GptModel`] that learns to predict the next token.
#[derive(Module, Debug)]
pub struct LanguageModel<B: Backend> {
    /// The model.
    pub gpt: GptModel<B>,
}

impl<B: Backend> Learns<B> for LanguageModel<B> {
    type Batch = Batch;

    fn outcome(&self, batch: &Batch) -> Outcome<B> {
        let tensor = |ids: &[i32]| {
            token_tensor(ids.to_vec(), [batch.windows, batch.seq], &self.gpt.device()) // [windows, seq]
        };
        self.gpt.loss(tensor(&batch.inputs), tensor(&batch.targets)).into()
    }
}

impl<B: AutodiffBackend> TrainStep for LanguageModel<B> {
    type Input = MicroBatches<Batch>;
    type Output = StepRecord;

    fn step(&self, batches: MicroBatches<Batch>) -> TrainOutput<StepRecord> {
        mean_gradients(self, batches)
    }
}

impl<B: Backend> InferenceStep for LanguageModel<B> {
    type Input = Batch;
    type Output = EvaluationRecord;

    fn step(&self, batch: Batch) -> EvaluationRecord {
        evaluated(self, &batch)
    }
}

impl MicroBatch for Batch {
    fn num_tokens(&self) -> usize {
        self.num_tokens()
    }

    fn num_targets(&self) -> usize {
        self.num_targets()
    }

    fn split(self, most: usize) -> Vec<Self> {
        self.split(most)
    }
}

/// Writes a sample with the current model; its second argument says whether to give up.
pub type SampleWriter<B> = Box<dyn Fn(&InnerModel<B>, &mut dyn FnMut() -> bool) -> String + Send + Sync>;

type InnerModel<B> = GptModel<<B as BurnAutodiffBackend>::InnerBackend>;

/// Learns from the windows of a corpus of tokens.
pub struct Pretrain<B: AutodiffBackend> {
    dataset: Dataset,
    tokenizer: Tokenizer,
    sampler: WindowSampler,
    grad_accumulation: usize,
    sample: Option<SampleWriter<B>>,
}

impl<B: AutodiffBackend> Pretrain<B> {
    /// Pretraining on `dataset`, in windows of `context_length` tokens that follow each other in `order`. `tokenizer` is
    /// saved beside the model.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if a split has no room for a window.
    pub fn new(
        dataset: Dataset,
        tokenizer: Tokenizer,
        order: Order,
        context_length: usize,
        training: &TrainingConfig,
    ) -> Result<Self> {
        dataset.check(context_length)?;
        let TrainingConfig { seed, batch_size, grad_accumulation, .. } = *training;
        let end_of_text = tokenizer.end_of_text();
        let sampler = WindowSampler { order, seed, batch_size, context_length, end_of_text };
        Ok(Self { dataset, tokenizer, sampler, grad_accumulation, sample: None })
    }

    /// Shows a text by `sample` at each evaluation.
    pub fn with_sample(self, sample: SampleWriter<B>) -> Self {
        Self { sample: Some(sample), ..self }
    }

    fn windows(&self) -> Windows<'_> {
        let WindowSampler { order, batch_size, context_length, end_of_text, .. } = self.sampler;
        let windows = Windows::new(&self.dataset.valid, batch_size, context_length);
        match end_of_text.filter(|_| order == Order::Documents) {
            Some(end_of_text) => windows.at_documents(end_of_text),
            None => windows,
        }
    }
}

impl<B: AutodiffBackend> Objective<B> for Pretrain<B> {
    type Batch = Batch;
    type Module = LanguageModel<B>;
    type Inner = LanguageModel<B::InnerBackend>;

    fn describe(&self, module: &LanguageModel<B>) -> String {
        let config = module.gpt.config();
        let millions = config.num_parameters() as f64 / 1e6;
        format!("{millions:.2} M parameters, {} layers × {}", config.n_layers, config.d_model)
    }

    fn parameters(&self, module: &LanguageModel<B>) -> Vec<Parameter> {
        parameters(&module.gpt)
    }

    fn batches(&self, step: usize) -> Vec<Batch> {
        let first = step * self.grad_accumulation;
        let numbers = first..first + self.grad_accumulation;
        numbers.map(|number| self.sampler.batch(&self.dataset.train, number as u64)).collect()
    }

    fn num_validation_batches(&self) -> usize {
        self.windows().num_batches()
    }

    fn validation_batches(&self) -> Box<dyn Iterator<Item = Batch> + '_> {
        Box::new(self.windows())
    }

    fn validation_text(&self) -> Option<ValidationText> {
        Some(ValidationText::of(&self.dataset.valid))
    }

    fn flops_per_token(&self, module: &LanguageModel<B>) -> f64 {
        module.gpt.config().flops_per_token()
    }

    fn save_tokenizer(&self, directory: &Path) -> Result<()> {
        Ok(self.tokenizer.save(directory)?)
    }

    fn save_model(&self, model: &LanguageModel<B::InnerBackend>, directory: &Path) -> Result<()> {
        let special_tokens = SpecialTokens {
            padding: self.tokenizer.special_token("pad_token"),
            ..SpecialTokens::of_end_of_text(self.tokenizer.end_of_text())
        };
        Ok(kiln_model::save(&model.gpt, directory, Dtype::F32, &special_tokens)?)
    }

    fn sample(
        &self,
        model: &LanguageModel<B::InnerBackend>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<String> {
        self.sample.as_ref().map(|sample| sample(&model.gpt, stop))
    }
}
