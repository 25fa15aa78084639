//! Between burn-train's events and what a person sees: metrics become a [`Progress`], which the dashboard draws or
//! plain lines print.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn_train::metric::state::{FormatOptions, NumericMetricState};
use burn_train::metric::{
    Adaptor, Metric, MetricAttributes, MetricDefinition, MetricId, MetricMetadata, MetricName, Numeric,
    NumericAttributes, NumericEntry, SerializedEntry,
};
use burn_train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};

use crate::StepOutput;
use crate::view::{PlainLines, Progress, StepReport};

/// The state of a run that people look at, shared by the loop, the renderer and the dashboard.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) progress: Arc<Mutex<Progress>>,
    lines: Option<Arc<Mutex<PlainLines>>>,
}

impl View {
    /// `plain` prints lines to standard error after each change.
    pub(crate) fn new(progress: Progress, plain: bool) -> Self {
        let lines = plain.then(|| Arc::new(Mutex::new(PlainLines::after(&progress))));
        Self { progress: Arc::new(Mutex::new(progress)), lines }
    }

    /// Changes the state and prints what is new.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        if let Some(lines) = &self.lines {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            // A closed standard error must not end a training run.
            let _ = lines.update(&progress, &mut std::io::stderr().lock());
        }
    }
}

/// A quantity of [`StepOutput`], as burn-train's learner measures it.
#[derive(Clone)]
pub(crate) struct Quantity {
    name: &'static str,
    read: fn(&StepOutput) -> f64,
    higher_is_better: bool,
    state: NumericMetricState,
}

impl Quantity {
    fn new(name: &'static str, higher_is_better: bool, read: fn(&StepOutput) -> f64) -> Self {
        Self { name, read, higher_is_better, state: NumericMetricState::default() }
    }

    pub(crate) fn loss() -> Self {
        Self::new("Loss", false, |output| output.loss)
    }

    pub(crate) fn learning_rate() -> Self {
        Self::new("Learning rate", true, |output| output.learning_rate)
    }

    pub(crate) fn grad_norm() -> Self {
        Self::new("Gradient norm", false, |output| output.grad_norm)
    }

    pub(crate) fn tokens() -> Self {
        Self::new("Tokens", true, |output| output.tokens as f64)
    }
}

impl Adaptor<Self> for StepOutput {
    fn adapt(&self) -> Self {
        self.clone()
    }
}

impl Metric for Quantity {
    type Input = StepOutput;

    fn name(&self) -> MetricName {
        Arc::new(self.name.to_owned())
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: self.higher_is_better }.into()
    }

    fn update(&mut self, output: &StepOutput, _metadata: &MetricMetadata) -> SerializedEntry {
        self.state.update((self.read)(output), 1, FormatOptions::new(Metric::name(self)).precision(4))
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl Numeric for Quantity {
    fn value(&self) -> NumericEntry {
        self.state.current_value()
    }

    fn running_value(&self) -> NumericEntry {
        self.state.running_value()
    }
}

/// Collects the metrics of a step and hands them to the [`View`].
pub(crate) struct Renderer {
    view: View,
    names: HashMap<MetricId, String>,
    latest: HashMap<String, f64>,
    tokens: u64,
}

impl Renderer {
    pub(crate) fn new(view: View, tokens: u64) -> Self {
        Self { view, names: HashMap::new(), latest: HashMap::new(), tokens }
    }

    fn keep(&mut self, state: MetricState) {
        if let MetricState::Numeric(entry, value) = state
            && let Some(name) = self.names.get(&entry.metric_id)
        {
            self.latest.insert(name.clone(), value.current());
        }
    }

    fn value(&self, name: &str) -> f64 {
        self.latest.get(name).copied().unwrap_or(f64::NAN)
    }
}

impl MetricsRendererTraining for Renderer {
    fn update_train(&mut self, state: MetricState) {
        self.keep(state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.keep(state);
    }

    fn render_train(&mut self, progress: TrainingProgress, _indicators: Vec<ProgressType>) {
        let total = self.value("Tokens") as u64;
        let report = StepReport {
            step: progress.iteration.unwrap_or_default() as u64,
            loss: self.value("Loss"),
            tokens: total.saturating_sub(self.tokens),
            learning_rate: self.value("Learning rate"),
            grad_norm: self.value("Gradient norm"),
        };
        self.tokens = total;
        self.view.update(|progress| progress.on_step(report));
    }

    fn render_valid(&mut self, progress: TrainingProgress, _indicators: Vec<ProgressType>) {
        let (step, loss) = (progress.iteration.unwrap_or_default() as u64, self.value("Loss"));
        self.view.update(|progress| progress.on_evaluation(step, loss));
    }
}

impl MetricsRendererEvaluation for Renderer {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _progress: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for Renderer {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }
}
