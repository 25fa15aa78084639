//! Preferences: the model learns which of two answers is the better one.

use anyhow::Result;
use burn::module::AutodiffModule as _;
use kiln_model::AutodiffBackend;
use kiln_training::{Pair, PreferenceModel, Run, reference};

use super::base::Base;
use super::ending::Ending;
use super::instruct::ending_with;
use super::task_run::{self, Parts, TaskRun};
use crate::output::print_message;

/// Pairs of answers as the model reads them, without what the reference says.
pub struct Preferences {
    pub parts: Parts<Pair>,
    /// The token that ends an answer.
    pub turn_end: u32,
}

/// Tunes `base` on them.
pub fn run<B: AutodiffBackend>(base: Base<B>, preferences: Preferences, run: Run) -> Result<Ending> {
    let Preferences { mut parts, turn_end } = preferences;
    let finetune = base.settings.finetune.clone().unwrap_or_default();
    let at_a_time = base.settings.training.micro_batch();
    print_message(format_args!("reading all answers with the model that the run starts from"));
    let start = base.gpt.valid();
    for part in [&mut parts.train, &mut parts.valid, &mut parts.test] {
        // A run that is asked to stop does so before its first step, and looks at no pair.
        let Some(log_probabilities) = reference(&start, part, at_a_time, &mut || run.stop.is_asked()) else {
            break;
        };
        part.iter_mut().zip(log_probabilities).for_each(|(pair, values)| pair.reference = values);
    }
    let special_tokens = ending_with(base.files.special_tokens(), turn_end);
    let (saving, reopen) = base
        .language_model(special_tokens, move |gpt| PreferenceModel::new(gpt, finetune.loss, finetune.beta));
    let module = PreferenceModel::new(base.gpt, finetune.loss, finetune.beta);
    let outcome = task_run::run(TaskRun { parts, module, saving, sample: None, reopen }, run)?;
    Ok(match outcome.best {
        Some(best) => Ending::of(outcome.summary, &best),
        None => Ending::early(outcome.summary),
    })
}
