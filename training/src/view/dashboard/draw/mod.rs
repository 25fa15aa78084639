//! The picture as a whole: which parts are shown, and where, on a terminal of any size.

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Text;

use super::look::{Look, Tab};
use super::loss_chart::LossChart;
use super::{header, help, key_line, loss_chart, numbers, sample_pane, small_charts};
use crate::view::progress::Progress;

/// Columns and rows that leave room for a panel of numbers beside the chart.
const PANELS: (u16, u16) = (64, 18);
/// Columns from which the sample stands beside the chart, not below it.
const WIDE: u16 = 120;
/// Columns and rows from which there is room for everything at once.
const LARGE: (u16, u16) = (160, 44);
/// Rows of the small charts below the losses.
const CHARTS: u16 = 13;

/// Draws the state of a run into all of `frame`, whatever its size.
pub(super) fn draw(frame: &mut Frame, progress: &Progress, look: &mut Look) {
    let area = frame.area();
    if area.width < PANELS.0 || area.height < PANELS.1 {
        draw_compact(frame, area, progress, look);
    } else {
        draw_panels(frame, area, progress, look);
    }
    if look.help {
        help::draw(frame, progress, look);
    }
}

fn draw_panels(frame: &mut Frame, area: Rect, progress: &Progress, look: &mut Look) {
    let rows = [Constraint::Length(header::HEIGHT), Constraint::Fill(1), Constraint::Length(1)];
    let [top, body, keys] = Layout::vertical(rows).areas(area);
    header::draw(frame, top, progress);
    key_line::draw(frame, keys, progress, look, 1);
    if area.width >= WIDE {
        let side = (area.width * 3 / 10).clamp(38, 52);
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(side)]).areas(body);
        let needed = numbers::height(progress).min(body.height - 6);
        let [above, below] = Layout::vertical([Constraint::Length(needed), Constraint::Fill(1)]).areas(right);
        draw_charts(frame, left, progress, look, area.width >= LARGE.0 && area.height >= LARGE.1);
        numbers::draw(frame, above, progress);
        sample_pane::draw(frame, below, progress, look);
        return;
    }
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(28)]).areas(body);
    numbers::draw(frame, right, progress);
    if look.tab == Tab::Charts {
        return small_charts::draw(frame, left, progress, look.zoom);
    }
    let below = (body.height * 3 / 8).clamp(5, 14);
    let [chart, sample] = Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(left);
    loss_chart::draw(frame, chart, progress, *look);
    sample_pane::draw(frame, sample, progress, look);
}

/// The chart of the tab; where there is room, the small charts below the losses.
fn draw_charts(frame: &mut Frame, area: Rect, progress: &Progress, look: &Look, large: bool) {
    match look.tab {
        Tab::Charts => small_charts::draw(frame, area, progress, look.zoom),
        Tab::Loss if large => {
            let rows = [Constraint::Fill(1), Constraint::Length(CHARTS)];
            let [above, below] = Layout::vertical(rows).areas(area);
            loss_chart::draw(frame, above, progress, *look);
            small_charts::draw(frame, below, progress, look.zoom);
        }
        Tab::Loss => loss_chart::draw(frame, area, progress, *look),
    }
}

/// The most important lines first; a chart, and the beginning of the sample, where some rows are left for them.
fn draw_compact(frame: &mut Frame, area: Rect, progress: &Progress, look: &mut Look) {
    let mut lines = vec![
        header::gauge(progress, area.width),
        header::losses(progress),
        header::clock(progress, area.width),
    ];
    let has_keys = area.height > lines.len() as u16 + 1;
    if area.height >= 10 {
        lines.insert(0, header::status(progress));
    }
    let text = lines.len() as u16;
    // The chart has a few rows first.
    let spare = area.height.saturating_sub(text + 1 + small_charts::LEAST.1);
    let sample = if spare < 2 { 0 } else { spare.min(4).max(spare / 3) };
    let rows = [
        Constraint::Length(text),
        Constraint::Fill(1),
        Constraint::Length(sample),
        Constraint::Length(u16::from(has_keys)),
    ];
    let [above, chart, below, keys] = Layout::vertical(rows).areas(area);
    frame.render_widget(Text::from(lines), above);
    match look.tab {
        Tab::Loss => frame.render_widget(LossChart { progress, look: *look }, chart),
        Tab::Charts => small_charts::draw(frame, chart, progress, look.zoom),
    }
    if sample > 0 {
        sample_pane::draw_plain(frame, below, progress, look);
    }
    key_line::draw(frame, keys, progress, look, u16::from(area.width >= PANELS.0));
}
