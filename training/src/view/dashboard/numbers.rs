//! The panel of numbers: the latest of everything that is measured.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};

use super::style::{ACCENT, ALERT, BOLD, DIM, VALID, panel};
use crate::view::format;
use crate::view::progress::Progress;

/// Draws the numbers that there are.
pub(super) fn draw(frame: &mut Frame, area: Rect, progress: &Progress) {
    let block = panel("numbers".to_owned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let groups = numbers(progress);
    let rows: usize = groups.iter().map(Vec::len).sum();
    // Blank lines between the groups, from the top, as far as they fit.
    let mut blanks = usize::from(inner.height).saturating_sub(rows);
    let mut lines = Vec::new();
    for group in groups {
        if !lines.is_empty() && blanks > 0 {
            lines.push(Line::default());
            blanks -= 1;
        }
        lines.extend(group.into_iter().map(|row| row.line(inner.width)));
    }
    frame.render_widget(Text::from(lines), inner);
}

/// Rows of the panel with a blank line between its groups.
pub(super) fn height(progress: &Progress) -> u16 {
    let groups = numbers(progress);
    (groups.iter().map(|group| group.len() + 1).sum::<usize>() + 1).max(3) as u16
}

/// One number of the panel and its name.
struct Row {
    name: &'static str,
    value: String,
    style: Style,
}

impl Row {
    /// The row across `width` columns, the name at the left and the value at the right.
    fn line(self, width: u16) -> Line<'static> {
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
fn numbers(progress: &Progress) -> Vec<Vec<Row>> {
    let row = |name, value, style| Row { name, value, style };
    let plain = |name, value: Option<String>| value.map(|value| row(name, value, Style::new()));
    let train = BOLD.fg(ACCENT);
    let valid = BOLD.fg(VALID);
    let latest = progress.latest();
    let evaluation = progress.evaluation();
    let best = progress.best();
    let skipped = progress.skipped_steps();
    let task = evaluation.map(|evaluation| evaluation.task.rows()).unwrap_or_default();
    let perplexity = evaluation.filter(|_| task.is_empty()).map(|e| format::short(e.perplexity()));
    let groups = [
        vec![
            progress.train_loss().map(|loss| row("training loss", format::loss(loss), train)),
            evaluation.map(|e| row("validation loss", format::loss(e.loss), valid)),
            plain("perplexity", perplexity),
        ],
        task.into_iter().map(|(name, value)| Some(row(name, value, valid))).collect(),
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
