//! A run of one task: the training loop, and the best model measured as it lies on the disk.

use anyhow::{Result, bail};
use burn::module::AutodiffModule;
use kiln_model::AutodiffBackend;
use kiln_training::{
    Example, Examples, Learns, Measured, Objective, Run, Sampling, Saving, Stopped, Summary, Tuning, measure,
    train,
};

use super::base::Reopening;
use super::results::Counts;

/// How far the loss of the saved model may be from that of the trained one, in nats.
const SAVED_WITHIN: f64 = 1e-3;

/// Examples by what they are for.
#[derive(Clone, Debug)]
pub struct Parts<T> {
    pub train: Vec<T>,
    pub valid: Vec<T>,
    /// May be empty.
    pub test: Vec<T>,
}

impl<T> Parts<T> {
    /// The same parts of what `convert` makes of each example.
    pub fn try_map<U>(&self, mut convert: impl FnMut(&T) -> Result<U>) -> Result<Parts<U>> {
        let mut all = |part: &[T]| part.iter().map(&mut convert).collect::<Result<Vec<U>>>();
        Ok(Parts { train: all(&self.train)?, valid: all(&self.valid)?, test: all(&self.test)? })
    }

    /// The same where nothing can fail.
    pub fn map<U>(&self, convert: impl Fn(&T) -> U) -> Parts<U> {
        let all = |part: &[T]| part.iter().map(&convert).collect();
        Parts { train: all(&self.train), valid: all(&self.valid), test: all(&self.test) }
    }

    /// All examples.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.train.iter().chain(&self.valid).chain(&self.test)
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        Counts { train: self.train.len(), valid: self.valid.len(), test: self.test.len() }
    }
}

/// What a task brings to a run.
pub struct TaskRun<B: AutodiffBackend, M: AutodiffModule<B>, T> {
    pub parts: Parts<T>,
    pub module: M,
    pub saving: Saving<M::InnerModule>,
    pub sample: Option<Sampling<M::InnerModule>>,
    /// Opens the best model as it was saved.
    pub reopen: Reopening<M::InnerModule>,
}

/// How a run of a task went.
pub struct Outcome<M> {
    pub summary: Summary,
    /// The best model and what it comes to; `None` where somebody stopped the run, or it has not been evaluated.
    pub best: Option<Best<M>>,
}

/// The best model, as it was saved.
pub struct Best<M> {
    pub model: M,
    /// The validation examples before the first step.
    pub before: Measured,
    pub valid: Measured,
    pub test: Option<Measured>,
}

/// Trains, then opens the best model again and measures it.
pub fn run<B, M, T>(task: TaskRun<B, M, T>, run: Run) -> Result<Outcome<M::InnerModule>>
where
    B: AutodiffBackend,
    T: Example,
    M: AutodiffModule<B>,
    M::InnerModule: Learns<B::InnerBackend, Batch = Examples<T>>,
    Tuning<B, M, T>: Objective<B, Module = M>,
{
    let TaskRun { parts, module, saving, sample, reopen } = task;
    let Parts { train: learned, valid, test } = parts;
    let (stop, at_a_time) = (run.stop.clone(), run.recipe.training.micro_batch());
    let whole = run.recipe.training.eval_batches == 0;
    let measured =
        |model: &M::InnerModule, examples: &[T]| measure(model, examples, at_a_time, &mut || stop.is_asked());
    let before = measured(&module.valid(), &valid);
    let objective = Tuning::new(learned, valid.clone(), &run.recipe.training, saving);
    let objective = match sample {
        Some(sample) => objective.with_sample(sample),
        None => objective,
    };
    let summary = train(objective, module, run)?;
    let stopped = stop.is_asked() || matches!(summary.stopped, Stopped::Quit | Stopped::Next);
    let (Some((_, loss)), Some(before), false) = (summary.best, before, stopped) else {
        return Ok(Outcome { summary, best: None });
    };
    let model = reopen()?;
    let Some(valid) = measured(&model, &valid) else { return Ok(Outcome { summary, best: None }) };
    if whole && (valid.loss - loss).abs() > SAVED_WITHIN {
        bail!("the saved model has a validation loss of {}, and the trained one had {loss}", valid.loss);
    }
    let test = if test.is_empty() { None } else { measured(&model, &test) };
    Ok(Outcome { summary, best: Some(Best { model, before, valid, test }) })
}
