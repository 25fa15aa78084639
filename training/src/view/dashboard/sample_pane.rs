//! The latest text that the model wrote.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Text};

use super::header::draw_apart;
use super::look::Look;
use super::scroll::Scroll;
use super::style::{DIM, panel, with_hint};
use crate::view::format;
use crate::view::progress::Progress;
use crate::view::sample::Sample;

/// Draws the sample in a frame.
pub(super) fn draw(frame: &mut Frame, area: Rect, progress: &Progress, look: &mut Look) {
    // The hint belongs to the frame, and how wide the text may be is known by the frame.
    let inner = panel(String::new()).inner(area);
    let (text, style) = wrapped(progress, inner.width, look);
    let seen = look.sample_scroll.seen(&text, inner.height);
    frame.render_widget(with_hint(panel(title(progress)), look.sample_scroll.hint()), area);
    draw_lines(frame, inner, seen, style);
}

/// Draws the sample without a frame, below a line that says what it is.
pub(super) fn draw_plain(frame: &mut Frame, area: Rect, progress: &Progress, look: &mut Look) {
    let [first, rest] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let (text, style) = wrapped(progress, rest.width, look);
    let seen = look.sample_scroll.seen(&text, rest.height);
    let hint = Line::styled(look.sample_scroll.hint().unwrap_or_default(), DIM);
    draw_apart(frame, first, Line::styled(title(progress), DIM), hint);
    draw_lines(frame, rest, seen, style);
}

fn title(progress: &Progress) -> String {
    match progress.sample() {
        Some(sample) => format!("sample at step {}", format::thousands(sample.step)),
        None => "sample".to_owned(),
    }
}

/// The lines of the sample, and how they look.
fn wrapped(progress: &Progress, width: u16, look: &mut Look) -> (Vec<String>, Style) {
    let (text, style) = match progress.sample() {
        Some(Sample { step, text }) => {
            if look.sample_step != *step {
                (look.sample_step, look.sample_scroll) = (*step, Scroll::default());
            }
            (text.as_str(), Style::new())
        }
        None => ("What the model writes, from the first steps on.", DIM),
    };
    let lines = textwrap::wrap(text, usize::from(width).max(1));
    (lines.into_iter().map(String::from).collect(), style)
}

fn draw_lines(frame: &mut Frame, area: Rect, lines: &[String], style: Style) {
    let lines = lines.iter().map(|line| Line::raw(line.as_str()));
    frame.render_widget(Text::from_iter(lines).style(style), area);
}
