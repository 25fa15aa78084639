//! The examples of a run, whatever its task.

use std::io::Write;

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_datasets::examples::{Encoded, shown};
use kiln_inference::ModelFiles;
use kiln_training::Example;

use super::{conversations, labelled, pairs};
use crate::commands::finetune::classify::Labelled;
use crate::commands::finetune::dpo::Preferences;
use crate::commands::finetune::instruct::Instructions;
use crate::commands::finetune::results::Counts;
use crate::commands::finetune::task_run::Parts;
use crate::settings::{Settings, Task};

/// The name of examples that the program makes itself, about tales.
pub const TALES: &str = "tales";

/// The examples of a run.
pub struct Examples {
    pub kind: Kind,
    pub counts: Counts,
    /// Tokens of the longest.
    pub longest: usize,
    /// The training examples, to be shown.
    encoded: Vec<Encoded>,
    /// How conversations became text, in Jinja.
    pub template: Option<String>,
}

/// What was read for a task.
pub struct Read<T> {
    pub examples: T,
    /// The training examples, to be shown.
    pub encoded: Vec<Encoded>,
    /// How conversations became text, in Jinja.
    pub template: String,
}

/// Examples by their task.
pub enum Kind {
    Labelled(Labelled),
    Instructions(Instructions),
    Preferences(Preferences),
}

impl Examples {
    /// Reads, parts and encodes what the settings name.
    pub fn read(settings: &Settings, files: &ModelFiles, tokenizer: &Tokenizer) -> Result<Self> {
        let task = settings.finetune.as_ref().map(|section| section.task).unwrap_or_default();
        let (kind, encoded, template) = match task {
            Task::Classify => (Kind::Labelled(labelled::read(settings, files, tokenizer)?), Vec::new(), None),
            Task::Instruct => {
                let Read { examples, encoded, template } = conversations::read(settings, files, tokenizer)?;
                (Kind::Instructions(examples), encoded, Some(template))
            }
            Task::Dpo => {
                let Read { examples, encoded, template } = pairs::read(settings, files, tokenizer)?;
                (Kind::Preferences(examples), encoded, Some(template))
            }
        };
        let (counts, longest) = match &kind {
            Kind::Labelled(texts) => sizes(&texts.parts),
            Kind::Instructions(instructions) => sizes(&instructions.parts),
            Kind::Preferences(preferences) => sizes(&preferences.parts),
        };
        Ok(Self { kind, counts, longest, encoded, template })
    }

    /// Prints the first `count` training examples, with what counts marked.
    pub fn show(&self, count: usize, tokenizer: &Tokenizer, out: &mut impl Write) -> Result<()> {
        let colour = console::colors_enabled();
        if let Kind::Labelled(texts) = &self.kind {
            for text in texts.parts.train.iter().take(count) {
                let tokens: Vec<u32> = text.tokens.iter().map(|token| *token as u32).collect();
                let label = console::style(&texts.labels[text.label]).green().bold();
                writeln!(out, "{}\n→ {label}\n", tokenizer.decode(&tokens)?)?;
            }
        }
        for example in self.encoded.iter().take(count) {
            writeln!(out, "{}", shown(example, tokenizer, colour)?)?;
            writeln!(out, "{} tokens, of which {} count\n", example.tokens.len(), example.num_targets())?;
        }
        Ok(())
    }
}

/// How many there are, and the tokens of the longest.
fn sizes<T: Example>(parts: &Parts<T>) -> (Counts, usize) {
    (parts.counts(), parts.iter().map(T::num_tokens).max().unwrap_or_default())
}
