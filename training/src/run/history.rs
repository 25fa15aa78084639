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

    /// Runs of steps up to `last` that have no record, each by its first and its last step.
    pub(crate) fn missing_steps(&self, last: usize) -> Vec<(usize, usize)> {
        let mut missing = Vec::new();
        let mut next = 1;
        for step in self.steps.iter().map(|record| record.step).chain([last.saturating_add(1)]) {
            if step > next {
                missing.push((next, step - 1));
            }
            next = next.max(step.saturating_add(1));
        }
        missing
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_without_a_record_are_named() {
        let history = |steps: &[usize]| History {
            steps: steps.iter().map(|step| StepRecord { step: *step, ..StepRecord::default() }).collect(),
            ..History::default()
        };
        assert_eq!(history(&[1, 2, 3]).missing_steps(3), []);
        assert_eq!(history(&[]).missing_steps(0), []);
        assert_eq!(history(&[]).missing_steps(9), [(1, 9)]);
        assert_eq!(history(&[1, 2, 6, 7]).missing_steps(9), [(3, 5), (8, 9)]);
        // A line that is there twice.
        assert_eq!(history(&[1, 2, 2, 3]).missing_steps(3), []);
    }
}
