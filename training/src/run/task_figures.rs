//! What fine-tuning measures beside the loss.

use serde::{Deserialize, Serialize};

/// Figures of a task; each is there where the task has it, under the name that `trl` and scikit-learn have for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskFigures {
    /// Share of the texts that got their label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Harmonic mean of precision and recall: of the label that is rarer in the whole run where there are two, else the mean over all
    /// labels that occur.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f1: Option<f64>,
    /// Matthews' correlation coefficient of labels and predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcc: Option<f64>,
    /// Mean reward of the chosen answers.
    #[serde(rename = "rewards/chosen", skip_serializing_if = "Option::is_none")]
    pub chosen_reward: Option<f64>,
    /// Mean reward of the rejected answers.
    #[serde(rename = "rewards/rejected", skip_serializing_if = "Option::is_none")]
    pub rejected_reward: Option<f64>,
    /// Mean difference of the two.
    #[serde(rename = "rewards/margins", skip_serializing_if = "Option::is_none")]
    pub reward_margin: Option<f64>,
    /// Share of the pairs whose chosen answer has the larger reward: of whole answers, whatever the loss.
    #[serde(rename = "rewards/accuracies", skip_serializing_if = "Option::is_none")]
    pub reward_accuracy: Option<f64>,
    /// Mean log-probability of the chosen answers, in nats.
    #[serde(rename = "logps/chosen", skip_serializing_if = "Option::is_none")]
    pub chosen_log_probability: Option<f64>,
    /// Mean log-probability of the rejected answers, in nats.
    #[serde(rename = "logps/rejected", skip_serializing_if = "Option::is_none")]
    pub rejected_log_probability: Option<f64>,
    /// Share of the vectors' variance that an autoencoder gives back.
    #[serde(rename = "metrics/explained_variance", skip_serializing_if = "Option::is_none")]
    pub explained_variance: Option<f64>,
    /// Mean number of active features.
    #[serde(rename = "metrics/l0", skip_serializing_if = "Option::is_none")]
    pub l0: Option<f64>,
    /// Share of the features that have been silent for long.
    #[serde(rename = "sparsity/dead_features", skip_serializing_if = "Option::is_none")]
    pub dead_features: Option<f64>,
}

impl TaskFigures {
    /// The figures that there are, by the names that the files have for them.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        [
            ("accuracy", self.accuracy),
            ("f1", self.f1),
            ("mcc", self.mcc),
            ("rewards/chosen", self.chosen_reward),
            ("rewards/rejected", self.rejected_reward),
            ("rewards/margins", self.reward_margin),
            ("rewards/accuracies", self.reward_accuracy),
            ("logps/chosen", self.chosen_log_probability),
            ("logps/rejected", self.rejected_log_probability),
            ("metrics/explained_variance", self.explained_variance),
            ("metrics/l0", self.l0),
            ("sparsity/dead_features", self.dead_features),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_does_not_have_is_left_out() {
        let figures = TaskFigures { reward_margin: Some(0.5), ..TaskFigures::default() };
        let line = serde_json::to_string(&figures).expect("numbers");
        assert_eq!(line, r#"{"rewards/margins":0.5}"#);
        assert_eq!(serde_json::from_str::<TaskFigures>(&line).expect("figures"), figures);
        assert_eq!(figures.named().collect::<Vec<_>>(), [("rewards/margins", 0.5)]);
    }
}
