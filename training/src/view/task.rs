//! The figures of a task as people read them.

use super::format;
use crate::run::TaskFigures;

impl TaskFigures {
    /// Those that there are, each with its name, for people.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let share = |value: f64| format!("{:.1} %", value * 100.0);
        let rows = [
            ("accuracy", self.accuracy.map(share)),
            ("F1", self.f1.map(format::loss)),
            ("Matthews", self.mcc.map(format::loss)),
            ("pairs in order", self.reward_accuracy.map(share)),
            ("reward margin", self.reward_margin.map(format::loss)),
            ("ln P of chosen", self.chosen_log_probability.map(format::short)),
            ("ln P of rejected", self.rejected_log_probability.map(format::short)),
            ("variance explained", self.explained_variance.map(share)),
            ("active", self.l0.map(format::short)),
            ("dead", self.dead_features.map(share)),
        ];
        rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_and_what_is_missing_has_no_row() {
        let task = TaskFigures { accuracy: Some(0.9875), f1: Some(0.95), ..TaskFigures::default() };
        assert_eq!(task.rows(), [("accuracy", "98.8 %".to_owned()), ("F1", "0.9500".to_owned())]);
        assert!(TaskFigures::default().rows().is_empty());
    }
}
