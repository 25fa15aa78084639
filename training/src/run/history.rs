//! What was measured of a run so far.

use super::record::{EvaluationRecord, Record, StepRecord};

/// The records of a run, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Its optimizer steps.
    pub steps: Vec<StepRecord>,
    /// Its evaluations.
    pub evaluations: Vec<EvaluationRecord>,
}

impl History {
    /// The evaluation with the lowest finite loss.
    pub fn best(&self) -> Option<&EvaluationRecord> {
        let finite = self.evaluations.iter().filter(|record| record.loss.is_finite());
        finite.min_by(|a, b| a.loss.total_cmp(&b.loss))
    }

    /// Training losses by step.
    pub(crate) fn train_losses(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.steps.iter().map(|record| (record.step, record.loss))
    }

    /// Validation losses by step.
    pub(crate) fn valid_losses(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.evaluations.iter().map(|record| (record.step, record.loss))
    }

    /// Learning rates by step.
    pub(crate) fn learning_rates(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.steps.iter().map(|record| (record.step, record.learning_rate))
    }
}

impl FromIterator<Record> for History {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut history = Self::default();
        for record in records {
            match record {
                Record::Step(record) => history.steps.push(record),
                Record::Evaluation(record) => history.evaluations.push(record),
            }
        }
        history
    }
}
