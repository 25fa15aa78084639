//! The parts of the dashboard that are made of text: header, numbers, sample, keys.

use std::time::Duration;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::view::format;
use crate::view::part::Part;
use crate::view::progress::Progress;
use crate::view::status::Status;

/// Colour of everything about the training loss.
pub(super) const TRAIN: Color = Color::Cyan;
/// Colour of everything about the validation loss.
pub(super) const VALID: Color = Color::Yellow;
/// Labels and other text in the second row.
pub(super) const DIM: Style = Style::new().fg(Color::Indexed(246));
/// Frames and axes.
pub(super) const FAINT: Style = Style::new().fg(Color::Indexed(240));
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const ALERT: Color = Color::LightRed;
/// How long a checkpoint is new.
const NEW: Duration = Duration::from_secs(3);

/// Name, model, backend.
pub(super) fn title(progress: &Progress) -> Line<'static> {
    let info = progress.info();
    let mut line = Line::from(Span::styled("KILN", BOLD.fg(TRAIN)));
    for part in [&info.model, &info.backend].into_iter().filter(|part| !part.is_empty()) {
        line.push_span(Span::styled(if line.spans.len() == 1 { "  " } else { " · " }, FAINT));
        line.push_span(Span::styled(part.clone(), DIM));
    }
    line
}

/// What the run is doing, with a dot in the colour of how it is.
pub(super) fn status(progress: &Progress) -> Line<'static> {
    let status = progress.status();
    let color = match status {
        Status::Training | Status::Finished => Color::Green,
        Status::Paused | Status::Stopping => ALERT,
        _ => VALID,
    };
    let mut line =
        Line::from(vec![Span::styled("● ", Style::new().fg(color)), Span::raw(status.to_string())]);
    if let Some(Part { number, of }) = progress.info().part {
        line.spans.insert(0, Span::styled(format!("run {number} of {of}  "), DIM));
    }
    line
}

/// The share of the run that is done, as a bar with its numbers at the end.
pub(super) fn gauge(progress: &Progress, width: u16) -> Line<'static> {
    let fraction = progress.fraction();
    let total = format::thousands(progress.info().total_steps);
    // As wide as at the end of the run, so that the bar keeps its length.
    let steps = format!("{:>1$}", format::thousands(progress.step()), total.len());
    // Cut off, not rounded: 100 % is for a run that is done.
    let numbers = format!("  {:>5.1} %  {steps} / {total}", (fraction * 1000.0).floor() / 10.0);
    let bar = usize::from(width).saturating_sub(numbers.len());
    let done = (fraction * bar as f64).round() as usize;
    Line::from(vec![
        Span::styled("━".repeat(done), Style::new().fg(TRAIN)),
        Span::styled("─".repeat(bar - done.min(bar)), FAINT),
        Span::raw(numbers),
    ])
}

/// Time and speed, as much of it as fits.
pub(super) fn clock(progress: &Progress, width: u16) -> Line<'static> {
    let entries = [
        Some((format::duration(progress.elapsed()), " elapsed")),
        progress.eta().map(|eta| (format::duration(eta), " left")),
        progress.tokens_per_second().map(|rate| (format::rate(rate), " tok/s")),
    ];
    let mut line = Line::default();
    for (value, name) in entries.into_iter().flatten() {
        let gap = if line.spans.is_empty() { "" } else { "  " };
        if line.width() + gap.len() + value.len() + name.len() <= usize::from(width) {
            line.extend([Span::raw(gap), Span::raw(value), Span::styled(name, DIM)]);
        }
    }
    line
}

/// The losses in one line, for where there is no room for a panel.
pub(super) fn losses(progress: &Progress) -> Line<'static> {
    let mut line = Line::default();
    let mut entry = |name: &'static str, loss: f64, color: Color| {
        line.push_span(Span::styled(name, DIM));
        line.push_span(Span::styled(format::loss(loss), Style::new().fg(color)));
    };
    if let Some(loss) = progress.train_loss() {
        entry("training ", loss, TRAIN);
    }
    if let Some(evaluation) = progress.evaluation() {
        entry("  validation ", evaluation.loss, VALID);
    }
    line
}

/// One number of the panel and its name.
pub(super) struct Row {
    name: &'static str,
    value: String,
    style: Style,
}

impl Row {
    /// The row across `width` columns, the name at the left and the value at the right.
    pub(super) fn line(self, width: u16) -> Line<'static> {
        let used = self.name.chars().count() + self.value.chars().count();
        let gap = usize::from(width).saturating_sub(used).max(1);
        Line::from(vec![
            Span::styled(self.name, DIM),
            Span::raw(" ".repeat(gap)),
            Span::styled(self.value, self.style),
        ])
    }
}

/// The numbers that there are, in groups of what belongs together.
pub(super) fn numbers(progress: &Progress) -> Vec<Vec<Row>> {
    let row = |name, value, style| Row { name, value, style };
    let plain = |name, value: Option<String>| value.map(|value| row(name, value, Style::new()));
    let train = BOLD.fg(TRAIN);
    let valid = BOLD.fg(VALID);
    let latest = progress.latest();
    let evaluation = progress.evaluation();
    let best = progress.best();
    let skipped = progress.skipped_steps();
    let groups = [
        vec![
            progress.train_loss().map(|loss| row("training loss", format::loss(loss), train)),
            evaluation.map(|e| row("validation loss", format::loss(e.loss), valid)),
            plain("perplexity", evaluation.map(|e| format::short(e.perplexity()))),
        ],
        vec![
            plain("best validation", best.map(|e| format::loss(e.loss))),
            plain("at step", best.map(|e| format::thousands(e.step))),
            plain("floor", progress.info().floor.map(format::loss)),
        ],
        vec![
            plain("learning rate", latest.map(|s| format::learning_rate(s.learning_rate))),
            plain("gradient norm", latest.map(|s| format::short(s.grad_norm))),
            (skipped > 0).then(|| row("skipped steps", format::thousands(skipped), BOLD.fg(ALERT))),
        ],
        vec![
            plain("tokens seen", (progress.tokens() > 0).then(|| format::count(progress.tokens() as f64))),
            plain("tokens/s", progress.tokens_per_second().map(format::rate)),
            plain("MFU", progress.utilization().map(share)),
            plain("memory", progress.memory().map(format::bytes)),
        ],
        vec![plain(
            "last checkpoint",
            progress.checkpoint_age().map(|age| format!("{} ago", format::age(age))),
        )],
    ];
    let groups = groups.into_iter().map(|group| group.into_iter().flatten().collect::<Vec<_>>());
    groups.filter(|group| !group.is_empty()).collect()
}

/// A share of what the device can do. More than that says that the device was busy when it was measured, and nothing of the run.
fn share(share: f64) -> String {
    if share <= 1.0 { format!("{:.1} %", share * 100.0) } else { "–".to_owned() }
}

/// How old the last checkpoint is, in colour while it is new: what tells that `s` has saved.
pub(super) fn saved(progress: &Progress) -> Line<'static> {
    let Some(age) = progress.checkpoint_age() else { return Line::default() };
    let style = if age < NEW { Style::new().fg(Color::Green) } else { DIM };
    Line::styled(format!("saved {} ago", format::age(age)), style)
}

/// What the keys do.
pub(super) fn keys(progress: &Progress) -> Line<'static> {
    let pause = if *progress.status() == Status::Paused { " resume   " } else { " pause   " };
    let several = progress.info().part.is_some();
    let (quit, next) = if several { (" end the sweep   ", " next run   ") } else { (" quit   ", "") };
    let mut line = Line::default();
    let keys = [("q", quit), ("n", next), ("s", " save now   "), ("p", pause)];
    for (key, meaning) in keys.into_iter().filter(|(_, meaning)| !meaning.is_empty()) {
        line.push_span(Span::styled(key, BOLD.fg(TRAIN)));
        line.push_span(Span::styled(meaning, DIM));
    }
    line
}
