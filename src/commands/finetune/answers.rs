//! Answers that a model writes: while it learns, and at the end to be judged.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_datasets::tales::Request as TaleRequest;
use kiln_inference::{FinishReason, GenerateOptions, Request, Sampling, generate_batch};
use kiln_model::{Backend, GptModel};
use serde::Serialize;
use serde_json::{Map, json};

/// Where they are written, in the run directory.
const ANSWERS: &str = "answers.jsonl";

/// Answers that are written at the end, at most.
pub const MOST: usize = 200;

/// Answers written side by side: each has a cache of its own, which takes memory.
const AT_A_TIME: usize = 20;

/// Something to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// As the model reads it.
    pub tokens: Vec<u32>,
    /// The answer of the example.
    pub expected: String,
    /// The tale that is asked for, where the examples are those of the embedded corpus.
    pub tale: Option<TaleRequest>,
}

/// Writes answers.
#[derive(Clone, Debug)]
pub struct Answerer {
    pub tokenizer: Tokenizer,
    /// Each of them ends an answer.
    pub ends: Vec<u32>,
    pub max_tokens: usize,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    prompt: String,
    answer: String,
    expected: String,
    /// Whether it came to its end by itself.
    stopped: bool,
}

impl Answerer {
    /// The most probable answers; `None` if `stop` says to give up.
    pub fn answers<B: Backend>(
        &self,
        model: &GptModel<B>,
        prompts: &[Prompt],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<Answer>>> {
        let mut answers = Vec::new();
        for prompts in prompts.chunks(AT_A_TIME) {
            let requests: Vec<Request> = prompts.iter().map(|prompt| self.request(&prompt.tokens)).collect();
            let written = generate_batch(model, &requests, |_, _| !stop())?;
            if stop() {
                return Ok(None);
            }
            for (prompt, written) in prompts.iter().zip(&written) {
                answers.push(Answer {
                    prompt: self.tokenizer.decode(&prompt.tokens)?,
                    answer: self.tokenizer.decode(&written.tokens)?,
                    expected: prompt.expected.clone(),
                    stopped: written.finish_reason == FinishReason::Stop,
                });
            }
        }
        Ok(Some(answers))
    }

    /// A prompt and the answer to it, as a run shows them; or why there is none.
    pub fn shown<B: Backend>(
        &self,
        model: &GptModel<B>,
        prompt: &Prompt,
        stop: &mut dyn FnMut() -> bool,
    ) -> String {
        match self.answers(model, std::slice::from_ref(prompt), stop) {
            Ok(answers) => {
                answers.iter().flatten().map(|answer| format!("{}{}", answer.prompt, answer.answer)).collect()
            }
            Err(error) => format!("no answer: {error:#}"),
        }
    }

    fn request(&self, prompt: &[u32]) -> Request {
        Request {
            prompt: prompt.to_vec(),
            options: GenerateOptions {
                max_tokens: self.max_tokens,
                stop: self.ends.clone(),
                vocab_size: Some(self.tokenizer.vocab_size()),
                sampling: Sampling::GREEDY,
                ..GenerateOptions::default()
            },
        }
    }
}

/// Writes answers into a run directory, one on each line.
pub fn write(answers: &[Answer], run: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for answer in answers {
        serde_json::to_writer(&mut lines, answer)?;
        writeln!(lines)?;
    }
    Ok(kiln_model::write_file(&run.join(ANSWERS), lines)?)
}

/// The share of answers that are whole tales about what was asked for.
pub fn right(answers: &[Answer], prompts: &[Prompt]) -> f64 {
    let right = |(answer, prompt): (&Answer, &Prompt)| {
        prompt.tale.as_ref().is_some_and(|tale| tale.answer(&answer.answer).is_right())
    };
    let count = answers.iter().zip(prompts).filter(|pair| right(*pair)).count();
    count as f64 / answers.len().max(1) as f64
}

/// Adds what the answers come to, to `more` by name and to `notes` for people: how many stop by themselves, and of tales how many
/// are what was asked for.
pub fn judge(
    answers: &[Answer],
    prompts: &[Prompt],
    more: &mut Map<String, serde_json::Value>,
    notes: &mut Vec<String>,
) {
    let share = |count: usize| count as f64 / answers.len().max(1) as f64;
    let stopped = answers.iter().filter(|answer| answer.stopped).count();
    more.insert("answers".to_owned(), json!(answers.len()));
    more.insert("stop_rate".to_owned(), json!(share(stopped)));
    notes.push(format!("of {} answers, {stopped} come to an end by themselves ({ANSWERS})", answers.len()));
    let judged: Vec<_> = answers
        .iter()
        .zip(prompts)
        .filter_map(|(answer, prompt)| Some(prompt.tale.as_ref()?.answer(&answer.answer)))
        .collect();
    if !judged.is_empty() {
        let (tales, about) = (
            judged.iter().filter(|answer| answer.is_tale).count(),
            judged.iter().filter(|answer| answer.is_about_both).count(),
        );
        more.insert("whole_tales".to_owned(), json!(share(tales)));
        more.insert("about_both".to_owned(), json!(share(about)));
        more.insert("right".to_owned(), json!(right(answers, prompts)));
        notes.push(format!(
            "{tales} are whole tales, and {about} are about both that were asked for: pairs that no training request had"
        ));
    }
}
