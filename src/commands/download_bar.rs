//! How far a download has come: a bar in a terminal, lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressStyle};
use kiln_datasets::FetchProgress;

use crate::output::print_message;

/// Time between two lines about the same file.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// A bar over the bytes of all files, or lines.
pub struct DownloadBar {
    bar: ProgressBar,
    last: FetchProgress,
    /// When the file at hand began, and how many bytes were here then.
    start: (Instant, u64),
    last_line: Instant,
}

impl DownloadBar {
    pub fn new() -> Self {
        let template =
            "{msg} {bar:30} {decimal_bytes}/{decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        // Hidden where standard error is no terminal.
        let bar = ProgressBar::new(0).with_style(style);
        let now = Instant::now();
        Self { bar, last: FetchProgress::default(), start: (now, 0), last_line: now }
    }

    pub fn show(&mut self, progress: &FetchProgress) {
        let file = &progress.file;
        if let Some(reason) = progress.retry.as_ref().filter(|_| progress.retry != self.last.retry) {
            self.bar.suspend(|| print_message(format_args!("{file}: trying again after: {reason}")));
        }
        if progress.waiting {
            self.bar.suspend(|| {
                print_message(format_args!("{file}: another process is downloading it; waiting"));
            });
        }
        let done = if progress.all_total.is_some() { progress.all_bytes } else { progress.bytes };
        if progress.bytes > 0 || progress.total.is_some() {
            if *file != self.last.file || self.start.1 > done {
                self.start = (Instant::now(), done);
                self.bar.reset_eta();
            }
            self.line(progress, done);
            self.bar.set_message(file.clone());
            self.bar.set_length(progress.all_total.or(progress.total).unwrap_or(done));
            self.bar.set_position(done);
        }
        self.last.clone_from(progress);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// A line for each file, and for a large one from time to time.
    fn line(&mut self, progress: &FetchProgress, done: u64) {
        let is_new = progress.file != self.last.file;
        if stderr().is_terminal() || !(is_new || self.last_line.elapsed() > BETWEEN_LINES) {
            return;
        }
        self.last_line = Instant::now();
        let file = &progress.file;
        if is_new {
            let size = progress.total.map_or(String::new(), |total| format!(", {}", DecimalBytes(total)));
            print_message(format_args!("{file}{size}"));
            return;
        }
        let total = progress.all_total.or(progress.total);
        let of = total.map_or(String::new(), |total| format!(" of {}", DecimalBytes(total)));
        let (since, from) = self.start;
        let speed = done.saturating_sub(from) as f64 / since.elapsed().as_secs_f64();
        let left = total.filter(|_| speed > 0.0).map(|total| total.saturating_sub(done) as f64 / speed);
        let left = left.map_or(String::new(), |left| {
            format!(", {} left", HumanDuration(Duration::from_secs_f64(left.min(1e9))))
        });
        print_message(format_args!("{file}: {}{of}{left}", DecimalBytes(done)));
    }
}
