//! What a person sees of a run while it trains: a dashboard in a terminal, plain lines without one.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use crate::run::Record;
use crate::view::dashboard::{Command, Dashboard};
use crate::view::plain::PlainLines;
use crate::view::progress::Progress;
use crate::view::status::Status;

/// How a run is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frontend {
    /// The dashboard on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// Nothing.
    Quiet,
}

/// The state of a run as people see it, shared with the dashboard's thread, until it is dropped.
pub(crate) struct Screen {
    progress: Arc<Mutex<Progress>>,
    lines: Option<PlainLines>,
    dashboard: Option<Dashboard>,
}

impl Screen {
    /// Shows `progress` on standard error; the receiver gets the keys that are pressed.
    pub(crate) fn open(progress: Progress, frontend: Frontend) -> io::Result<(Self, Receiver<Command>)> {
        let on_terminal = frontend == Frontend::Auto && io::stderr().is_terminal();
        let lines = (frontend != Frontend::Quiet && !on_terminal).then(|| PlainLines::after(&progress));
        let progress = Arc::new(Mutex::new(progress));
        let (sender, keys) = mpsc::channel();
        let dashboard = match on_terminal {
            true => Some(Dashboard::start(Arc::clone(&progress), sender)?),
            false => None,
        };
        Ok((Self { progress, lines, dashboard }, keys))
    }

    /// Whether it is a dashboard.
    pub(crate) fn is_dashboard(&self) -> bool {
        self.dashboard.is_some()
    }

    /// What one more step takes, with its share of evaluations, as far as it is known.
    pub(crate) fn seconds_per_step(&self) -> Option<f64> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).seconds_per_step()
    }

    /// Shows what was measured.
    pub(crate) fn show(&mut self, record: &Record) {
        self.update(|progress| match record {
            Record::Step(record) => progress.on_step(*record),
            Record::Evaluation(record) => progress.on_evaluation(*record),
        });
    }

    /// Shows what the run turns to.
    pub(crate) fn set_status(&mut self, status: Status) {
        self.update(|progress| progress.set_status(status));
    }

    /// Changes the state and prints what is new.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        if let Some(lines) = &mut self.lines {
            // A closed standard error must not end a training run.
            let _ = lines.update(&progress, &mut io::stderr().lock());
        }
    }
}
