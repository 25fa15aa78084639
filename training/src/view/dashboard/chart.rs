//! The loss chart: training and validation curves on axes with round numbers.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use ratatui::widgets::canvas::{Canvas, Line as Segment, Points};

use super::panels::{DIM, FAINT, TRAIN, VALID};
use crate::view::axis::{label, step_label, ticks, ticks_with_step};
use crate::view::progress::Progress;

const FLOOR: Color = Color::Green;

/// The share of the steps at the left that may stick out at the top: a loss falls so steeply at first that
/// the rest would be a flat line otherwise.
const START: f64 = 0.03;

/// What the colours of the chart mean.
pub(super) fn legend(progress: &Progress) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    let mut entry = |mark: &'static str, color: Color, name: &'static str| {
        spans.push(Span::styled(mark, Style::new().fg(color)));
        spans.push(Span::styled(name, DIM));
    };
    entry("━━", TRAIN, " training ");
    if !progress.valid().is_empty() {
        entry(" ━●", VALID, " validation ");
    }
    if progress.info().floor.is_some_and(f64::is_finite) {
        entry(" ┄┄", FLOOR, " floor ");
    }
    Line::from(spans)
}

/// The curves of a run.
pub(super) struct LossChart<'a>(pub(super) &'a Progress);

impl Widget for LossChart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let Some(bounds) = Bounds::of(self.0) else {
            let text = Line::styled("The curves begin with the first step.", DIM).centered();
            text.render(Rect { y: area.y + area.height / 2, height: area.height.min(1), ..area }, buf);
            return;
        };
        let rows = usize::from(area.height.saturating_sub(2));
        let (y_ticks, y_step) = ticks_with_step(bounds.low, bounds.high, (rows / 3).max((rows / 2).min(5)));
        let y_labels: Vec<String> = y_ticks.iter().map(|tick| label(*tick, y_step)).collect();
        let gutter = y_labels.iter().map(String::len).max().unwrap_or(0) as u16 + 1;
        if area.width < gutter + 8 || area.height < 5 {
            return;
        }
        let plot = Rect {
            x: area.x + gutter + 1,
            y: area.y,
            width: area.width - gutter - 1,
            height: area.height - 2,
        };

        for y in plot.top()..plot.bottom() {
            buf[(plot.x - 1, y)].set_symbol("│").set_style(FAINT);
        }
        for (tick, text) in y_ticks.iter().zip(&y_labels) {
            let y = bounds.row(*tick, plot);
            buf.set_string(plot.x - 2 - text.len() as u16, y, text, DIM);
            buf[(plot.x - 1, y)].set_symbol("┤").set_style(FAINT);
        }
        bounds.draw_steps(plot, buf);
        bounds.draw_curves(self.0, plot, buf);
    }
}

/// The part of the plane that is shown.
struct Bounds {
    first: f64,
    last: f64,
    low: f64,
    high: f64,
}

impl Bounds {
    fn of(progress: &Progress) -> Option<Self> {
        let (train, valid) = (progress.train(), progress.valid());
        let all =
            || train.points().map(|p| (p.step, p.smooth)).chain(valid.points().map(|p| (p.step, p.value)));
        let first = all().map(|(step, _)| step).reduce(f64::min)?;
        let last = all().map(|(step, _)| step).fold(progress.step() as f64, f64::max).max(first + 1.0);
        let after_start = first + START * (last - first);
        let lows = all().map(|(_, loss)| loss).chain(progress.info().floor.filter(|floor| floor.is_finite()));
        let low = lows.reduce(f64::min)?;
        let high = all().filter(|(step, _)| *step >= after_start).map(|(_, loss)| loss).reduce(f64::max)?;
        let margin = (high - low).max(low.abs() * 1e-3).max(1e-6) * 0.06;
        Some(Self { first, last, low: low - margin, high: high + margin })
    }

    /// The axis of the steps, below the plot.
    fn draw_steps(&self, plot: Rect, buf: &mut Buffer) {
        let axis = plot.bottom();
        buf[(plot.x - 1, axis)].set_symbol("└").set_style(FAINT);
        for x in plot.left()..plot.right() {
            buf[(x, axis)].set_symbol("─").set_style(FAINT);
        }
        for tick in ticks(self.first, self.last, usize::from(plot.width / 11).max(1)) {
            let x = self.column(tick, plot);
            buf[(x, axis)].set_symbol("┴").set_style(FAINT);
            let text = step_label(tick);
            let width = text.len() as u16;
            let start = (x.saturating_sub(width / 2))
                .clamp(plot.x - 1, plot.right().saturating_sub(width).max(plot.x - 1));
            buf.set_string(start, axis + 1, text, DIM);
        }
    }

    fn draw_curves(&self, progress: &Progress, plot: Rect, buf: &mut Buffer) {
        let train: Vec<_> = progress.train().points().collect();
        let raw: Vec<(f64, f64)> = train.iter().map(|p| (p.step, p.value)).collect();
        let smooth: Vec<(f64, f64)> = train.iter().map(|p| (p.step, p.smooth)).collect();
        let valid: Vec<(f64, f64)> = progress.valid().points().map(|p| (p.step, p.value)).collect();
        let canvas = Canvas::default()
            .marker(Marker::Braille)
            .x_bounds([self.first, self.last])
            .y_bounds([self.low, self.high])
            .paint(|ctx| {
                ctx.draw(&Points { coords: &raw, color: Color::Indexed(240) });
                ctx.layer();
                if let Some(floor) = progress.info().floor {
                    // One dot a cell, exactly on the dots of the braille grid: evenly spaced.
                    let span = (self.last - self.first) / f64::from(plot.width * 2 - 1);
                    let across = |cell| (self.first + f64::from(cell * 2) * span, floor);
                    let line: Vec<(f64, f64)> = (0..plot.width).map(across).collect();
                    ctx.draw(&Points { coords: &line, color: FLOOR });
                }
                for (curve, color) in [(&valid, VALID), (&smooth, TRAIN)] {
                    for (a, b) in curve.iter().zip(curve.iter().skip(1)) {
                        ctx.draw(&self.segment(*a, *b, color));
                    }
                }
            });
        canvas.render(plot, buf);
        if valid.len() <= usize::from(plot.width / 3) {
            for (step, loss) in valid.into_iter().filter(|(_, loss)| (self.low..=self.high).contains(loss)) {
                buf[(self.column(step, plot), self.row(loss, plot))].set_symbol("●").set_fg(VALID);
            }
        }
    }

    fn column(&self, step: f64, plot: Rect) -> u16 {
        plot.x + cell((step - self.first) / (self.last - self.first), plot.width, 2)
    }

    fn row(&self, loss: f64, plot: Rect) -> u16 {
        plot.y + cell((self.high - loss) / (self.high - self.low), plot.height, 4)
    }

    /// A line between two points, cut off where it leaves the chart at the top.
    fn segment(&self, a: (f64, f64), b: (f64, f64), color: Color) -> Segment {
        let cut = |(x, y): (f64, f64), (x2, y2): (f64, f64)| match y > self.high && y2 < self.high {
            true => (x + (x2 - x) * (y - self.high) / (y - y2), self.high),
            false => (x, y),
        };
        let ((x1, y1), (x2, y2)) = (cut(a, b), cut(b, a));
        Segment { x1, y1, x2, y2, color }
    }
}

/// Which of `cells` a share of their whole length falls into, as the dots of a braille canvas do: on the text
/// grid a mark would stand up to a cell beside its curve.
fn cell(share: f64, cells: u16, dots: u16) -> u16 {
    let dot = (share * f64::from(cells * dots - 1)).round() as u16;
    (dot / dots).min(cells.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::EvaluationRecord;
    use crate::view::progress::RunInfo;

    fn evaluation(step: usize) -> EvaluationRecord {
        EvaluationRecord { step, loss: 2.0, ..EvaluationRecord::default() }
    }

    #[test]
    fn marks_stand_on_their_curve_and_ticks_beside_it() {
        let mut progress =
            Progress::new(RunInfo { total_steps: 100, floor: Some(1.0), ..RunInfo::default() });
        for step in 0..=100 {
            progress.on_evaluation(evaluation(step));
        }
        let area = Rect::new(0, 0, 60, 23);
        let rows_with = |progress: &Progress, symbols: &dyn Fn(&str) -> bool| -> Vec<u16> {
            let mut buf = Buffer::empty(area);
            LossChart(progress).render(area, &mut buf);
            (0..20).filter(|y| (6..60).any(|x| symbols(buf[(x, *y)].symbol()))).collect()
        };
        let braille = |symbol: &str| symbol.chars().all(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
        let lines = rows_with(&progress, &braille);
        assert_eq!(lines.len(), 2, "the curve and the floor");

        let mut few = Progress::new(RunInfo { total_steps: 100, floor: Some(1.0), ..RunInfo::default() });
        [0, 50, 100].into_iter().for_each(|step| few.on_evaluation(evaluation(step)));
        assert_eq!(rows_with(&few, &|symbol| symbol == "●"), lines[..1]);
        let mut buf = Buffer::empty(area);
        LossChart(&few).render(area, &mut buf);
        let label = |y: u16| (0..5).map(|x| buf[(x, y)].symbol()).collect::<String>();
        assert_eq!((label(lines[0]).trim_end(), label(lines[1]).trim_end()), ("2.0 ┤", "1.0 ┤"));
    }
}
