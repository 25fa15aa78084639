//! What of the examples is learned from, evaluated on, and measured at the end.

use std::path::Path;

use anyhow::{Result, bail};
use kiln_datasets::examples::{Split, SplitExamples};

use crate::commands::finetune::task_run::Parts;
use crate::output::print_message;
use crate::settings::{self, Settings};

/// The examples of the files that the settings name, by what they are for. `read` reads a file; `group` and `text` are those of
/// [`Split::divide`].
pub fn parted<T>(
    settings: &Settings,
    mut read: impl FnMut(&Path) -> Result<Vec<T>>,
    group: impl Fn(&T) -> String,
    text: impl Fn(&T) -> String,
) -> Result<Parts<T>> {
    let section = settings.finetune.clone().unwrap_or_default();
    let examples = read(&section.data)?;
    let (valid, test) = (section.valid.as_deref().map(&mut read), section.test.as_deref().map(&mut read));
    let parts = match (valid.transpose()?, test.transpose()?) {
        (Some(valid), test) => Parts { train: examples, valid, test: test.unwrap_or_default() },
        (None, Some(test)) => {
            let split = Split::Fraction { valid: settings.data.valid_fraction, seed: settings.training.seed };
            let SplitExamples { train, valid, .. } = split.divide(examples, group, text);
            Parts { train, valid, test }
        }
        (None, None) => {
            let split = match section.split {
                settings::Split::Hash => Split::Hashed,
                settings::Split::Order => Split::InOrder,
            };
            let SplitExamples { train, valid, test, repeated } = split.divide(examples, group, text);
            if repeated > 0 {
                print_message(format_args!(
                    "{repeated} examples are there more than once: one of each stays"
                ));
            }
            Parts { train, valid, test }
        }
    };
    for (name, part) in [("train on", &parts.train), ("evaluate on", &parts.valid)] {
        if part.is_empty() {
            bail!(
                "{}: too few examples: none are left to {name}\nhint: `--valid FILE` names examples to evaluate on",
                section.data.display()
            );
        }
    }
    Ok(parts)
}
