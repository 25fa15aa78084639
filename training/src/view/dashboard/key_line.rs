//! The line at the bottom: what the keys do, and that the last one has worked.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Margin, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::header::draw_apart;
use super::look::{Look, Tab};
use super::style::{ACCENT, BOLD, DIM};
use crate::view::format;
use crate::view::progress::Progress;
use crate::view::status::Status;

/// How long a checkpoint is new.
const NEW: Duration = Duration::from_secs(3);

/// Draws the line, `margin` columns from both edges.
pub(super) fn draw(frame: &mut Frame, area: Rect, progress: &Progress, look: &Look, margin: u16) {
    let area = area.inner(Margin { horizontal: margin, vertical: 0 });
    draw_apart(frame, area, keys(progress, look.tab, area.width), saved(progress));
}

/// How old the last checkpoint is, in colour while it is new: what tells that `s` has saved.
fn saved(progress: &Progress) -> Line<'static> {
    let Some(age) = progress.checkpoint_age() else { return Line::default() };
    let style = if age < NEW { Style::new().fg(Color::Green) } else { DIM };
    Line::styled(format!("saved {} ago", format::age(age)), style)
}

/// What the keys do; where it is narrow, some are left to the help.
fn keys(progress: &Progress, tab: Tab, width: u16) -> Line<'static> {
    let several = progress.info().part.is_some();
    let pause = if *progress.status() == Status::Paused { "resume" } else { "pause" };
    let other = if tab == Tab::Loss { "charts" } else { "loss" };
    let quit = if several { "end sweep" } else { "quit" };
    let mut keys =
        vec![("q", quit), ("n", "next"), ("s", "save"), ("p", pause), ("tab", other), ("?", "help")];
    keys.retain(|(key, _)| several || *key != "n");
    for least in ["tab", "p", "n", "s"] {
        if line(&keys).width() <= usize::from(width) {
            break;
        }
        keys.retain(|(key, _)| *key != least);
    }
    line(&keys)
}

fn line(keys: &[(&'static str, &'static str)]) -> Line<'static> {
    let mut line = Line::default();
    for (key, meaning) in keys {
        let gap = if line.spans.is_empty() { "" } else { "  " };
        let meaning = Span::styled(format!(" {meaning}"), DIM);
        line.extend([Span::raw(gap), Span::styled(*key, BOLD.fg(ACCENT)), meaning]);
    }
    line
}
