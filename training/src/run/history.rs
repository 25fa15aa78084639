//! What was measured of a run so far.

use super::record::{EvaluationRecord, Record, StepRecord};

/// Most steps that count as the latest.
const LONGEST_WINDOW: usize = 100;

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

    /// The training loss of the latest steps: the mean of their finite losses, over a twenty-fifth of the run and a hundred
    /// steps at most. `None` if the last step's is not finite.
    pub fn training_loss(&self) -> Option<f64> {
        self.steps.last().filter(|record| record.loss.is_finite())?;
        let window = (self.steps.len() / 25).clamp(1, LONGEST_WINDOW);
        let latest = &self.steps[self.steps.len() - window..];
        let finite = latest.iter().map(|record| record.loss).filter(|loss| loss.is_finite());
        let (sum, n) = finite.fold((0.0, 0), |(sum, n), loss| (sum + loss, n + 1));
        Some(sum / f64::from(n))
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
    fn the_training_loss_is_a_mean_over_the_latest_steps() {
        let history = |losses: &[f64]| History {
            steps: losses.iter().map(|loss| StepRecord { loss: *loss, ..StepRecord::default() }).collect(),
            ..History::default()
        };
        assert_eq!(history(&[]).training_loss(), None);
        assert_eq!(history(&[3.0, 2.0]).training_loss(), Some(2.0));
        let mut losses = vec![9.0; 96];
        losses.extend([1.0, f64::NAN, 3.0, 2.0]);
        assert_eq!(history(&losses).training_loss(), Some(2.0));
        losses.push(f64::NAN);
        assert_eq!(history(&losses).training_loss(), None);
    }

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
