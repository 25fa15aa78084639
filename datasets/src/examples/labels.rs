//! The classes of labelled texts.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Flaw, Labelled, Provenance};
use crate::error::Result;

/// The labels of training texts, numbered from 0 on in their sorted order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
}

impl Labels {
    /// The labels of the training texts, which come from `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Example`](crate::Error::Example) if all have the same label, or there is none.
    pub fn of(training: &[Labelled], path: &Path) -> Result<Self> {
        let names: BTreeSet<&str> = training.iter().map(|example| example.label.as_str()).collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let flaw = match &names[..] {
            [] => Flaw::NoExamples,
            [label] => Flaw::OneClass { label: label.clone() },
            _ => return Ok(Self { names }),
        };
        Err(Provenance::of_file(path).error(flaw))
    }

    /// Their names in the order of the numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of an example's label.
    ///
    /// # Errors
    ///
    /// [`Error::Example`](crate::Error::Example) for a label that no training text has.
    pub fn number(&self, example: &Labelled) -> Result<usize> {
        self.names.binary_search(&example.label).map_err(|_| {
            let (label, known) = (example.label.clone(), self.names.clone());
            example.provenance.error(Flaw::UnknownLabel { label, known })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::labelled;
    use super::*;

    #[test]
    fn labels_are_numbered_in_their_sorted_order_and_others_refused() {
        let training = labelled(&[("a", "spam"), ("b", "ham"), ("c", "spam")]);
        let labels = Labels::of(&training, Path::new("data.csv")).expect("two classes");
        assert_eq!(labels.names(), ["ham", "spam"]);
        let numbers: Vec<usize> = training.iter().map(|text| labels.number(text).expect("known")).collect();
        assert_eq!(numbers, [1, 0, 1]);
        let unseen = &labelled(&[("d", "ham"), ("e", "eggs")])[1];
        let told = "data.csv:2: label \"eggs\", which no training text has; they have `ham`, `spam`";
        assert_eq!(labels.number(unseen).expect_err("unseen").to_string(), told);
        let told = Labels::of(&training[..1], Path::new("data.csv")).expect_err("one class").to_string();
        assert!(told.starts_with("data.csv: all training texts have the label \"spam\""), "{told}");
    }
}
