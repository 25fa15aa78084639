//! What is measured beside the losses, a small chart each: learning rate, gradient norm, speed and memory.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::Widget;

use super::look::Zoom;
use super::plot::{Axes, Point, Stroke};
use super::style::{ACCENT, BOLD, DIM, panel, with_hint};
use crate::view::axis::{count_label, labels, scientific_label};
use crate::view::curve::{Curve, CurvePoint};
use crate::view::format;
use crate::view::progress::Progress;
use crate::view::scale::Scale;

/// Columns and rows that a chart needs.
pub(super) const LEAST: (u16, u16) = (24, 7);

const MEBIBYTE: f64 = (1 << 20) as f64;
const GIBIBYTE: f64 = (1 << 30) as f64;

/// Draws the charts in a grid, as many as find room.
pub(super) fn draw(frame: &mut Frame, area: Rect, progress: &Progress, zoom: Zoom) {
    let charts = [learning_rate(progress), gradient_norm(progress), speed(progress), memory(progress)];
    let fitting = usize::from(area.width / LEAST.0).max(1);
    // Two by two; in a row where it is low.
    let columns = fitting.min(if area.height < 2 * LEAST.1 { charts.len() } else { 2 });
    let rows = charts.len().div_ceil(columns).min(usize::from(area.height / LEAST.1).max(1));
    let areas = Layout::vertical(vec![Constraint::Fill(1); rows]).split(area);
    for (area, charts) in areas.iter().zip(charts.chunks(columns)) {
        let areas = Layout::horizontal(vec![Constraint::Fill(1); columns]).split(*area);
        for (area, chart) in areas.iter().zip(charts) {
            chart.draw(frame, *area, zoom);
        }
    }
}

/// A number of each step, over the steps.
struct SmallChart<'a> {
    name: &'static str,
    curve: &'a Curve,
    /// The latest value.
    value: Option<String>,
    /// More about it, where there is room.
    detail: Option<String>,
    /// What the values are divided by before they are marked.
    unit: f64,
    labels: fn(&[f64]) -> Vec<String>,
    /// Whether single values are noise around what is of interest.
    noisy: bool,
    /// The scale for values from the least to the greatest.
    scale: fn(f64, f64) -> Scale,
}

fn learning_rate(progress: &Progress) -> SmallChart<'_> {
    SmallChart {
        value: progress.latest().map(|step| format::learning_rate(step.learning_rate)),
        labels: |marks| marks.iter().map(|mark| scientific_label(*mark)).collect(),
        ..SmallChart::of("learning rate", &progress.steps().learning_rate)
    }
}

fn gradient_norm(progress: &Progress) -> SmallChart<'_> {
    SmallChart {
        value: progress.latest().map(|step| format::short(step.grad_norm)),
        noisy: true,
        // It may fall by powers of ten.
        scale: Scale::between,
        ..SmallChart::of("gradient norm", &progress.steps().gradient_norm)
    }
}

fn speed(progress: &Progress) -> SmallChart<'_> {
    SmallChart {
        value: progress.tokens_per_second().map(format::rate),
        detail: progress.step_time().map(|time| format!("{}/step", format::short_duration(time))),
        labels: |marks| marks.iter().map(|mark| count_label(*mark)).collect(),
        noisy: true,
        ..SmallChart::of("tokens/s", &progress.steps().tokens_per_second)
    }
}

fn memory(progress: &Progress) -> SmallChart<'_> {
    let curve = &progress.steps().memory;
    let most = curve.points().map(|point| point.value).fold(0.0, f64::max);
    SmallChart {
        value: progress.memory().map(format::bytes),
        unit: if most < GIBIBYTE { MEBIBYTE } else { GIBIBYTE },
        ..SmallChart::of("memory", curve)
    }
}

impl<'a> SmallChart<'a> {
    fn of(name: &'static str, curve: &'a Curve) -> Self {
        let scale = |_, _| Scale::Linear;
        Self { name, curve, value: None, detail: None, unit: 1.0, labels, noisy: false, scale }
    }

    fn draw(&self, frame: &mut Frame, area: Rect, zoom: Zoom) {
        let value = Line::styled(format!(" {} ", self.headline(area.width)), BOLD.fg(ACCENT));
        let words = Some(zoom.words()).filter(|_| matches!(zoom, Zoom::LastHalf | Zoom::LastFifth));
        let block = panel(self.name.to_owned()).title_top(value.right_aligned());
        let block = with_hint(block, words.map(str::to_owned));
        let inner = block.inner(area);
        frame.render_widget(block, area);
        self.draw_curve(inner, frame.buffer_mut(), zoom);
    }

    /// The latest value, and more about it in a frame that is wide enough.
    fn headline(&self, width: u16) -> String {
        let value = self.value.clone().unwrap_or_else(|| "–".to_owned());
        let Some(detail) = &self.detail else { return value };
        let both = format!("{value} · {detail}");
        // Corners, and a space on both sides of each title.
        let needed = self.name.len() + both.chars().count() + 8;
        if needed <= usize::from(width) { both } else { value }
    }

    fn draw_curve(&self, area: Rect, buf: &mut Buffer, zoom: Zoom) {
        let line = self.points(|point| if self.noisy { point.smooth } else { point.value });
        let raw = if self.noisy { self.points(|point| point.value) } else { Vec::new() };
        let Some(axes) = self.axes(&line, zoom) else {
            let text = Line::styled("nothing measured yet", DIM).centered();
            text.render(Rect { y: area.y + area.height / 2, height: area.height.min(1), ..area }, buf);
            return;
        };
        if let Some(plot) = axes.draw(area, buf) {
            plot.draw(&raw, &[Stroke::Line(line, ACCENT)], buf);
        }
    }

    /// Axes on which the part of `line` that is looked at fits.
    fn axes(&self, line: &[Point], zoom: Zoom) -> Option<Axes> {
        let ((first, _), (last, _)) = (*line.first()?, *line.last()?);
        let start = zoom.start(first, last);
        let seen = || line.iter().filter(|(step, _)| *step >= start).map(|(_, value)| *value);
        let (low, high) = (seen().reduce(f64::min)?, seen().reduce(f64::max)?);
        let scale = (self.scale)(low, high);
        let axes = Axes::fitting((start, last), (low, high), scale, self.labels);
        Some(if scale == Scale::Linear { axes.with_zero() } else { axes })
    }

    fn points(&self, value: impl Fn(&CurvePoint) -> f64) -> Vec<Point> {
        self.curve.points().map(|point| (point.step, value(&point) / self.unit)).collect()
    }
}
