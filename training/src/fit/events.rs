//! What burn-train hears of a run: its event store gets the figures of every record. Nothing else of its metrics is used:
//! the loop writes `metrics.jsonl` itself, in step with the checkpoints, and shows the run on a screen of its own.

use std::sync::Arc;

use burn_train::logger::MetricLogger;
use burn_train::metric::state::{FormatOptions, NumericMetricState};
use burn_train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn_train::metric::{
    Adaptor, Metric, MetricAttributes, MetricDefinition, MetricMetadata, MetricName, Numeric,
    NumericAttributes, NumericEntry, SerializedEntry,
};
use burn_train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use burn_train::{ItemLazy, SupervisedTraining};
use kiln_model::AutodiffBackend;

use super::strategy::Components;
use crate::objective::Objective;
use crate::run::{EvaluationRecord, Figure, StepRecord};

/// burn-train with every figure registered, and without a log or a display of its own.
pub(super) fn register<B: AutodiffBackend, O: Objective<B>>(
    training: SupervisedTraining<Components<B, O>>,
) -> SupervisedTraining<Components<B, O>> {
    let training = StepRecord::FIGURES
        .into_iter()
        .fold(training, |training, figure| training.metric_train_numeric(FigureMetric::new(figure)));
    let training = EvaluationRecord::FIGURES
        .into_iter()
        .fold(training, |training, figure| training.metric_valid_numeric(FigureMetric::new(figure)));
    training.with_metric_logger(Nowhere).renderer(Nowhere)
}

impl ItemLazy for StepRecord {
    type ItemSync = Self;

    fn sync(self) -> Self {
        self
    }
}

impl ItemLazy for EvaluationRecord {
    type ItemSync = Self;

    fn sync(self) -> Self {
        self
    }
}

impl Adaptor<Self> for StepRecord {
    fn adapt(&self) -> Self {
        *self
    }
}

impl Adaptor<Self> for EvaluationRecord {
    fn adapt(&self) -> Self {
        *self
    }
}

/// A figure as a metric of burn-train's.
#[derive(Clone)]
struct FigureMetric<R> {
    figure: Figure<R>,
    state: NumericMetricState,
}

impl<R> FigureMetric<R> {
    fn new(figure: Figure<R>) -> Self {
        Self { figure, state: NumericMetricState::default() }
    }
}

impl<R: Clone + Send + Sync + 'static> Metric for FigureMetric<R> {
    type Input = R;

    fn name(&self) -> MetricName {
        Arc::new(self.figure.name.to_owned())
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: false }.into()
    }

    fn update(&mut self, record: &R, _metadata: &MetricMetadata) -> SerializedEntry {
        let format = FormatOptions::new(Metric::name(self)).precision(4);
        self.state.update((self.figure.value)(record), 1, format)
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl<R: Clone + Send + Sync + 'static> Numeric for FigureMetric<R> {
    fn value(&self) -> NumericEntry {
        self.state.current_value()
    }

    fn running_value(&self) -> NumericEntry {
        self.state.running_value()
    }
}

/// Logs and shows nothing.
struct Nowhere;

impl MetricLogger for Nowhere {
    fn log(&mut self, _update: MetricsUpdate, _epoch: usize, _split: &Split) {}

    fn read_numeric(
        &mut self,
        _name: &str,
        _epoch: usize,
        _split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, _definition: MetricDefinition) {}

    fn log_epoch_summary(&mut self, _summary: EpochSummary) {}
}

impl MetricsRendererTraining for Nowhere {
    fn update_train(&mut self, _state: MetricState) {}

    fn update_valid(&mut self, _state: MetricState) {}

    fn render_train(&mut self, _progress: TrainingProgress, _indicators: Vec<ProgressType>) {}

    fn render_valid(&mut self, _progress: TrainingProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRendererEvaluation for Nowhere {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _progress: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for Nowhere {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, _definition: MetricDefinition) {}
}
