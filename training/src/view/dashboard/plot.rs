//! A rectangle with axes, steps along and values up, and curves on it in dots of braille.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::symbols::Marker;
use ratatui::widgets::Widget;
use ratatui::widgets::canvas::{Canvas, Context, Line as Segment, Points};

use super::style::{DIM, FAINT, RAW};
use crate::view::axis::{count_label, ticks};
use crate::view::scale::Scale;

/// A step and a value.
pub(super) type Point = (f64, f64);

/// The part of the plane that is shown.
pub(super) struct Axes {
    first: f64,
    last: f64,
    /// Place of the lower edge on the scale.
    low: f64,
    high: f64,
    scale: Scale,
    /// Writes the marks of the values.
    labels: fn(&[f64]) -> Vec<String>,
}

/// What is drawn on a plot.
pub(super) enum Stroke {
    Line(Vec<Point>, Color),
    /// Across the whole plot, one dot a column.
    Level(f64, Color),
}

impl Axes {
    /// Axes from `first` to `last` step on which the values from `low` to `high` fit.
    pub(super) fn fitting(
        (first, last): (f64, f64),
        (low, high): (f64, f64),
        scale: Scale,
        labels: fn(&[f64]) -> Vec<String>,
    ) -> Self {
        let (low, high) = (scale.place(low), scale.place(high));
        let margin = (high - low).max(low.abs() * 1e-3).max(1e-6) * 0.06;
        Self { first, last: last.max(first + 1.0), low: low - margin, high: high + margin, scale, labels }
    }

    /// The same axes, with zero as the lower edge.
    pub(super) fn with_zero(self) -> Self {
        Self { low: 0.0, ..self }
    }

    /// Draws the axes at the left and the lower edge of `area`; `None` where there is no room for a plot.
    pub(super) fn draw(&self, area: Rect, buf: &mut Buffer) -> Option<Plot<'_>> {
        let rows = usize::from(area.height.saturating_sub(2));
        let marks = self.scale.marks(self.low, self.high, (rows / 3).max((rows / 2).min(5)));
        let labels = (self.labels)(&marks);
        let gutter = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as u16 + 1;
        if area.width < gutter + 8 || area.height < 5 {
            return None;
        }
        let plot = Plot {
            axes: self,
            area: Rect {
                x: area.x + gutter + 1,
                width: area.width - gutter - 1,
                height: area.height - 2,
                ..area
            },
        };
        plot.draw_values(&marks, &labels, buf);
        plot.draw_steps(buf);
        Some(plot)
    }
}

/// What axes enclose.
pub(super) struct Plot<'a> {
    axes: &'a Axes,
    area: Rect,
}

impl Plot<'_> {
    /// Draws single values as faint dots, and over them what they come to.
    pub(super) fn draw(&self, raw: &[Point], strokes: &[Stroke], buf: &mut Buffer) {
        let Axes { first, last, low, high, .. } = *self.axes;
        let raw = self.placed(raw);
        let canvas =
            Canvas::default().marker(Marker::Braille).x_bounds([first, last]).y_bounds([low, high]).paint(
                |ctx| {
                    ctx.draw(&Points { coords: &raw, color: RAW });
                    ctx.layer();
                    strokes.iter().for_each(|stroke| self.draw_stroke(stroke, ctx));
                },
            );
        canvas.render(self.area, buf);
    }

    fn draw_stroke(&self, stroke: &Stroke, ctx: &mut Context<'_>) {
        match stroke {
            Stroke::Line(points, color) => {
                let points = self.placed(points);
                for (&(x1, y1), &(x2, y2)) in points.iter().zip(points.iter().skip(1)) {
                    ctx.draw(&Segment { x1, y1, x2, y2, color: *color });
                }
            }
            Stroke::Level(value, color) => {
                let (Axes { first, last, scale, .. }, width) = (self.axes, self.area.width);
                // Exactly on the dots of the braille grid: evenly spaced.
                let span = (last - first) / f64::from(width * 2 - 1);
                let across = |cell| (first + f64::from(cell * 2) * span, scale.place(*value));
                let dots: Vec<Point> = (0..width).map(across).collect();
                ctx.draw(&Points { coords: &dots, color: *color });
            }
        }
    }

    /// The cell in which a point of a curve lies, where it is shown.
    pub(super) fn cell(&self, (step, value): Point) -> Option<(u16, u16)> {
        let Axes { first, last, low, high, scale, .. } = *self.axes;
        let inside = (first..=last).contains(&step) && (low..=high).contains(&scale.place(value));
        inside.then(|| (self.column(step), self.row(value)))
    }

    /// Columns of the plot.
    pub(super) fn width(&self) -> u16 {
        self.area.width
    }

    /// Points on the scale; what has no place on it is left out.
    fn placed(&self, points: &[Point]) -> Vec<Point> {
        let placed = points.iter().map(|(step, value)| (*step, self.axes.scale.place(*value)));
        placed.filter(|(_, place)| place.is_finite()).collect()
    }

    /// The axis of the values, at the left.
    fn draw_values(&self, marks: &[f64], labels: &[String], buf: &mut Buffer) {
        let axis = self.area.x - 1;
        for y in self.area.top()..self.area.bottom() {
            buf[(axis, y)].set_symbol("│").set_style(FAINT);
        }
        for (mark, label) in marks.iter().zip(labels) {
            let y = self.row(*mark);
            buf.set_string(axis - 1 - label.chars().count() as u16, y, label, DIM);
            buf[(axis, y)].set_symbol("┤").set_style(FAINT);
        }
    }

    /// The axis of the steps, below.
    fn draw_steps(&self, buf: &mut Buffer) {
        let (area, axis) = (self.area, self.area.bottom());
        buf[(area.x - 1, axis)].set_symbol("└").set_style(FAINT);
        for x in area.left()..area.right() {
            buf[(x, axis)].set_symbol("─").set_style(FAINT);
        }
        for tick in ticks(self.axes.first, self.axes.last, usize::from(area.width / 11).max(1)) {
            let x = self.column(tick);
            buf[(x, axis)].set_symbol("┴").set_style(FAINT);
            let label = count_label(tick);
            let width = label.len() as u16;
            let start = (x.saturating_sub(width / 2))
                .clamp(area.x - 1, area.right().saturating_sub(width).max(area.x - 1));
            buf.set_string(start, axis + 1, label, DIM);
        }
    }

    fn column(&self, step: f64) -> u16 {
        let Axes { first, last, .. } = self.axes;
        self.area.x + cell((step - first) / (last - first), self.area.width, 2)
    }

    fn row(&self, value: f64) -> u16 {
        let Axes { low, high, scale, .. } = self.axes;
        self.area.y + cell((high - scale.place(value)) / (high - low), self.area.height, 4)
    }
}

/// Which of `cells` a share of their whole length falls into, as the dots of a braille canvas do: on the text
/// grid a mark would stand up to a cell beside its curve.
fn cell(share: f64, cells: u16, dots: u16) -> u16 {
    let dot = (share * f64::from(cells * dots - 1)).round() as u16;
    (dot / dots).min(cells.saturating_sub(1))
}
