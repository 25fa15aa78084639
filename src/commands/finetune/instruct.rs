//! Instructions: the model learns what to answer.

use anyhow::Result;
use burn::module::AutodiffModule as _;
use kiln_model::{AutodiffBackend, SpecialTokens};
use kiln_training::{AnswerModel, Run, Segment};
use serde_json::json;

use super::answers::{self, Answerer, Prompt};
use super::base::Base;
use super::ending::Ending;
use super::task_run::{self, Parts, TaskRun};

/// Conversations as the model reads them.
pub struct Instructions {
    pub parts: Parts<Segment>,
    /// Of examples that are kept from training: what is to be answered.
    pub prompts: Vec<Prompt>,
    /// The token that ends an answer.
    pub turn_end: u32,
}

/// Tunes `base` on them.
pub fn run<B: AutodiffBackend>(base: Base<B>, instructions: Instructions, run: Run) -> Result<Ending> {
    let Instructions { parts, prompts, turn_end } = instructions;
    let special_tokens = ending_with(base.files.special_tokens(), turn_end);
    let answerer = Answerer {
        tokenizer: base.tokenizer.clone(),
        ends: special_tokens.end.clone(),
        max_tokens: base.settings.generation.max_tokens,
    };
    let (saving, reopen) = base.language_model(special_tokens, |gpt| AnswerModel { gpt });
    let sample = prompts.first().cloned().map(|prompt| {
        let answerer = answerer.clone();
        let sample: kiln_training::Sampling<AnswerModel<B::InnerBackend>> =
            Box::new(move |model, stop| answerer.shown(&model.gpt, &prompt, stop));
        sample
    });
    let (stop, folder) = (run.stop.clone(), run.directory.path().to_owned());
    // Of tales it is known what is right, and so whether the model could do it all along.
    let tales = prompts.iter().any(|prompt| prompt.tale.is_some());
    let before = match tales {
        true => answerer.answers(&base.gpt.valid(), &prompts, &mut || stop.is_asked())?,
        false => None,
    };
    let task = TaskRun { parts, module: AnswerModel { gpt: base.gpt }, saving, sample, reopen };
    let outcome = task_run::run(task, run)?;
    let Some(best) = outcome.best else { return Ok(Ending::early(outcome.summary)) };
    let mut ending = Ending::of(outcome.summary, &best);
    if let Some(before) = before {
        ending.more.insert("right_before".to_owned(), json!(answers::right(&before, &prompts)));
    }
    if prompts.is_empty() {
        return Ok(ending);
    }
    if let Some(written) = answerer.answers(&best.model.gpt, &prompts, &mut || stop.is_asked())? {
        answers::write(&written, &folder)?;
        answers::judge(&written, &prompts, &mut ending.more, &mut ending.notes);
    }
    Ok(ending)
}

/// The tokens of a model that ends its answers with `turn_end`.
pub fn ending_with(tokens: &SpecialTokens, turn_end: u32) -> SpecialTokens {
    let others = tokens.end.iter().copied().filter(|token| *token != turn_end);
    SpecialTokens { end: [turn_end].into_iter().chain(others).collect(), ..tokens.clone() }
}
