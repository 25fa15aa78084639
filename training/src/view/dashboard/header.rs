//! The lines at the top: what runs, how far it is, and how long it still takes.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::style::{ACCENT, ALERT, BOLD, DIM, FAINT, VALID};
use crate::view::format;
use crate::view::part::Part;
use crate::view::progress::Progress;
use crate::view::status::Status;

/// Rows of the header.
pub(super) const HEIGHT: u16 = 3;

/// Draws name and status, the gauge, and the clock.
pub(super) fn draw(frame: &mut Frame, area: Rect, progress: &Progress) {
    let area = area.inner(Margin { horizontal: 1, vertical: 0 });
    let [first, second, third] = Layout::vertical([Constraint::Length(1); HEIGHT as usize]).areas(area);
    draw_apart(frame, first, title(progress), status(progress));
    frame.render_widget(gauge(progress, area.width), second);
    let run_dir = Line::styled(progress.info().run_dir.display().to_string(), DIM);
    draw_apart(frame, third, clock(progress, area.width), run_dir);
}

/// Draws one line at the left and one at the right, which gives way where there is no room for both.
pub(super) fn draw_apart(frame: &mut Frame, area: Rect, left: Line, right: Line) {
    let right_width = right.width() as u16;
    if left.width() as u16 + 2 + right_width <= area.width {
        let x = area.right() - right_width;
        frame.render_widget(right, Rect { x, width: right_width, ..area });
    }
    frame.render_widget(left, area);
}

/// Name, model, backend.
fn title(progress: &Progress) -> Line<'static> {
    let info = progress.info();
    let mut line = Line::from(Span::styled("KILN", BOLD.fg(ACCENT)));
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
        Span::styled("━".repeat(done), Style::new().fg(ACCENT)),
        Span::styled("─".repeat(bar - done.min(bar)), FAINT),
        Span::raw(numbers),
    ])
}

/// Time and speed, as much of it as fits.
pub(super) fn clock(progress: &Progress, width: u16) -> Line<'static> {
    let entries = [
        Some(("", format::duration(progress.elapsed()), " elapsed")),
        progress.eta().map(|eta| ("", format::duration(eta), " left")),
        progress.tokens_per_second().map(|rate| ("", format::rate(rate), " tok/s")),
        progress.info().time_limit.map(|limit| ("budget ", format::duration(limit), "")),
    ];
    let mut line = Line::default();
    for (before, value, after) in entries.into_iter().flatten() {
        let gap = if line.spans.is_empty() { "" } else { "  " };
        let needed = line.width() + gap.len() + before.len() + value.len() + after.len();
        if needed <= usize::from(width) {
            line.extend([gap.into(), Span::styled(before, DIM), value.into(), Span::styled(after, DIM)]);
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
        entry("training ", loss, ACCENT);
    }
    if let Some(evaluation) = progress.evaluation() {
        entry("  validation ", evaluation.loss, VALID);
    }
    line
}
