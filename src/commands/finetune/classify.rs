//! Classes: a new head on the model learns the label of a text.

use anyhow::Result;
use kiln_model::{
    Adapter, AutodiffBackend, Classifier, Dtype, load_classifier, save_classifier, save_classifier_adapter,
};
use kiln_training::{ClassifierModel, LabelledText, Run, rarer_label};
use serde_json::{Map, json};

use super::base::{Base, Reopening};
use super::ending::Ending;
use super::task_run::{self, Best, Parts, TaskRun};
use crate::commands::classify::with_padding;

/// Texts of these labels.
pub struct Labelled {
    pub labels: Vec<String>,
    pub parts: Parts<LabelledText>,
}

/// Tunes `base` on them.
pub fn run<B: AutodiffBackend>(base: Base<B>, texts: Labelled, run: Run) -> Result<Ending> {
    let Labelled { labels, parts } = texts;
    let classifier = Classifier::new(base.gpt.clone(), labels.len(), base.settings.training.seed);
    let special_tokens = with_padding(base.files.special_tokens().clone(), &base.tokenizer);
    let names = labels.clone();
    let (name, has_adapter) = (base.name(), base.has_adapter());
    let saving = base.saving(Box::new(move |model: &ClassifierModel<B::InnerBackend>, directory| {
        Ok(match has_adapter {
            true => save_classifier_adapter(&model.classifier, &names, directory, &name),
            false => save_classifier(&model.classifier, &names, directory, Dtype::F32, &special_tokens),
        }?)
    }));
    let positive = rarer_label(parts.iter());
    let reopen = reopening(&base, positive);
    let task =
        TaskRun { parts, module: ClassifierModel { classifier, positive }, saving, sample: None, reopen };
    let outcome = task_run::run(task, run)?;
    let Some(best) = outcome.best else { return Ok(Ending::early(outcome.summary)) };
    let counts = confusion(&best, labels.len());
    let mut more = Map::new();
    more.insert("labels".to_owned(), json!(labels));
    more.insert("confusion".to_owned(), json!(counts));
    Ok(Ending { more, notes: table(&labels, &counts), ..Ending::of(outcome.summary, &best) })
}

/// Opens what was saved.
fn reopening<B: AutodiffBackend>(
    base: &Base<B>,
    positive: usize,
) -> Reopening<ClassifierModel<B::InnerBackend>> {
    let (saved, device, files) = (base.saved.clone(), base.device.clone(), base.files.clone());
    let (name, has_adapter) = (base.name(), base.has_adapter());
    let precision = base.settings.training.precision;
    Box::new(move || {
        let (classifier, _) = match has_adapter {
            true => Adapter::open(&saved)?.attach_classifier(files.load(&device)?, &name)?,
            false => load_classifier(&saved, &device)?,
        };
        let Classifier { gpt, score } = classifier;
        let gpt = gpt.with_compute_precision(precision)?;
        Ok(ClassifierModel { classifier: Classifier { gpt, score }, positive })
    })
}

/// How many texts of each label got each label: those of the test, else those of the validation.
fn confusion<M>(best: &Best<M>, classes: usize) -> Vec<Vec<usize>> {
    let sums = &best.test.as_ref().unwrap_or(&best.valid).sums;
    sums.chunks(classes).map(|row| row.iter().map(|count| *count as usize).collect()).collect()
}

/// The counts with their labels, a line for each row.
fn table(labels: &[String], counts: &[Vec<usize>]) -> Vec<String> {
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default().max(6);
    let cells =
        |cells: Vec<String>| cells.into_iter().map(|cell| format!("  {cell:>width$}")).collect::<String>();
    let head = format!("{:<width$}{}   told as", "", cells(labels.to_vec()));
    let rows = labels
        .iter()
        .zip(counts)
        .map(|(label, row)| format!("{label:<width$}{}", cells(row.iter().map(usize::to_string).collect())));
    [head].into_iter().chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_below_what_was_told() {
        let labels = ["ham", "spam"].map(str::to_owned);
        let told = table(&labels, &[vec![930, 2], vec![12, 106]]);
        assert_eq!(
            told,
            ["           ham    spam   told as", "ham        930       2", "spam        12     106"]
        );
    }
}
