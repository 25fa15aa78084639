//! What of the examples is learned from, evaluated on, and measured at the end.

use std::collections::HashSet;
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
    let mut parts = match (valid.transpose()?, test.transpose()?) {
        (Some(valid), test) => Parts { train: examples, valid, test: test.unwrap_or_default() },
        (None, Some(test)) => {
            let split = Split::Fraction { valid: settings.data.valid_fraction, seed: settings.training.seed };
            let SplitExamples { train, valid, .. } = split.divide(examples, group, &text);
            Parts { train, valid, test }
        }
        (None, None) => {
            let split = match section.split {
                settings::Split::Hash => Split::Hashed,
                settings::Split::Order => Split::InOrder,
            };
            let SplitExamples { train, valid, test, repeated } = split.divide(examples, group, &text);
            if repeated > 0 {
                print_message(format_args!(
                    "{repeated} examples are there more than once: one of each stays"
                ));
            }
            Parts { train, valid, test }
        }
    };
    keep_apart(&mut parts, text);
    Ok(parts)
}

/// Leaves out of the training what the validation or the test has, and out of the validation what the test has.
fn keep_apart<T>(parts: &mut Parts<T>, text: impl Fn(&T) -> String) {
    let mut kept: HashSet<String> = parts.test.iter().map(&text).collect();
    let valid = leave_out(&mut parts.valid, &kept, &text);
    kept.extend(parts.valid.iter().map(&text));
    let train = leave_out(&mut parts.train, &kept, &text);
    for (count, part, others) in [
        (valid, "validation", "the test has them"),
        (train, "training", "the validation or the test has them"),
    ] {
        if count > 0 {
            print_message(format_args!("{count} {part} examples are left out, as {others}, too"));
        }
    }
}

/// Leaves out those that are among `others`, and says how many.
fn leave_out<T>(part: &mut Vec<T>, others: &HashSet<String>, text: impl Fn(&T) -> String) -> usize {
    let before = part.len();
    part.retain(|example| !others.contains(&text(example)));
    before - part.len()
}

/// Checks that there is something to train on and to evaluate on, once all that must be is left out.
pub fn check_not_empty<T>(parts: &Parts<T>, data: &Path) -> Result<()> {
    for (name, part) in [("train on", &parts.train), ("evaluate on", &parts.valid)] {
        if part.is_empty() {
            bail!(
                "{}: too few examples: none are left to {name}\nhint: `--valid FILE` names examples to evaluate on",
                data.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_evaluated_or_tested_is_not_learned() {
        let mut parts = Parts { train: vec![1, 2, 3, 3, 4], valid: vec![3, 5, 6], test: vec![1, 6] };
        keep_apart(&mut parts, i32::to_string);
        assert_eq!((parts.train, parts.valid, parts.test), (vec![2, 4], vec![3, 5], vec![1, 6]));
    }
}
