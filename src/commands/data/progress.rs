//! How far preparing has come: a bar in a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use kiln_datasets::PrepareProgress;

use crate::output::print_message;

/// Between two plain lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// Shows progress on standard error.
pub struct Preparing {
    bar: Option<ProgressBar>,
    started: Instant,
    shown: Instant,
}

impl Preparing {
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}, {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, started: Instant::now(), shown: Instant::now() }
    }

    pub fn show(&mut self, progress: &PrepareProgress) {
        let plain = self.bar.is_none();
        if plain && self.shown.elapsed() < INTERVAL {
            return;
        }
        self.shown = Instant::now();
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let text = progress.text_bytes as f64 / 1e6 / seconds;
        // What an earlier attempt did says nothing about the speed of this one.
        let read = (progress.bytes_read - progress.bytes_resumed.min(progress.bytes_read)) as f64;
        let left = (progress.bytes_total - progress.bytes_read.min(progress.bytes_total)) as f64;
        let left = if read > 0.0 { format!("{:.0} s left", left * seconds / read) } else { "…".to_owned() };
        let message = format!("{text:.1} MB/s, {left}, {:.1} M tokens", progress.tokens as f64 / 1e6);
        match &self.bar {
            Some(bar) => {
                bar.set_length(progress.bytes_total);
                bar.set_position(progress.bytes_read);
                bar.set_message(message);
            }
            None => print_message(format_args!(
                "{:.0} of {:.0} MB, {message}",
                progress.bytes_read as f64 / 1e6,
                progress.bytes_total as f64 / 1e6
            )),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
