//! The losses over the steps: training, validation, and the floor.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::look::{Look, Zoom};
use super::plot::{Axes, Point, Stroke};
use super::style::{ACCENT, DIM, FLOOR, VALID, panel, with_hint};
use crate::view::axis::labels;
use crate::view::progress::Progress;
use crate::view::scale::Scale;

/// Draws the chart in a frame that says what its colours mean.
pub(super) fn draw(frame: &mut Frame, area: Rect, progress: &Progress, look: Look) {
    let chart = LossChart { progress, look };
    let block = panel("loss".to_owned()).title_top(chart.legend().right_aligned());
    let block = with_hint(block, chart.unusual());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    frame.render_widget(chart, inner);
}

/// The curves of a run, without a frame.
pub(super) struct LossChart<'a> {
    pub(super) progress: &'a Progress,
    pub(super) look: Look,
}

impl Widget for LossChart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let Some(axes) = self.axes() else {
            let text = Line::styled("The curves begin with the first step.", DIM).centered();
            text.render(Rect { y: area.y + area.height / 2, height: area.height.min(1), ..area }, buf);
            return;
        };
        let Some(plot) = axes.draw(area, buf) else { return };
        let (raw, train, valid) = (self.raw(), self.train(), self.valid());
        let mut strokes = Vec::new();
        strokes.extend(self.floor().map(|floor| Stroke::Level(floor, FLOOR)));
        strokes.extend([Stroke::Line(valid.clone(), VALID), Stroke::Line(train, ACCENT)]);
        plot.draw(&raw, &strokes, buf);
        let marks: Vec<_> = valid.into_iter().filter_map(|point| plot.cell(point)).collect();
        if marks.len() <= usize::from(plot.width() / 3) {
            for mark in marks {
                buf[mark].set_symbol("●").set_fg(VALID);
            }
        }
    }
}

impl LossChart<'_> {
    /// What is unusual about the axes.
    fn unusual(&self) -> Option<String> {
        let scale = if self.look.logarithmic { "logarithmic" } else { "" };
        let words = [self.look.zoom.words(), scale];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        (!words.is_empty()).then(|| words.join(" · "))
    }

    /// What the colours mean.
    fn legend(&self) -> Line<'static> {
        let mut spans = vec![Span::raw(" ")];
        let mut entry = |mark: &'static str, color: Color, name: &'static str| {
            spans.push(Span::styled(mark, Style::new().fg(color)));
            spans.push(Span::styled(name, DIM));
        };
        entry("━━", ACCENT, " training ");
        if !self.progress.valid().is_empty() {
            entry(" ━●", VALID, " validation ");
        }
        if self.floor().is_some() {
            entry(" ┄┄", FLOOR, " floor ");
        }
        Line::from(spans)
    }

    /// `None` before the first step.
    fn axes(&self) -> Option<Axes> {
        let mut points = self.train();
        points.extend(self.valid());
        let first = points.iter().map(|(step, _)| *step).reduce(f64::min)?;
        let last = points.iter().map(|(step, _)| *step).fold(self.progress.step() as f64, f64::max);
        let start = self.look.zoom.start(first, last);
        let from = self.look.zoom.fits_from(start, last);
        // The last values may have no place on a curve: then all of the others fit.
        let from = if points.iter().any(|(step, _)| *step >= from) { from } else { first };
        let fitting = || points.iter().filter(|(step, _)| *step >= from).map(|(_, loss)| *loss);
        let high = fitting().reduce(f64::max)?;
        let low = fitting().chain(self.floor()).reduce(f64::min)?;
        let scale = if self.look.logarithmic && low > 0.0 { Scale::Logarithmic } else { Scale::Linear };
        Some(Axes::fitting((start, last), (low, high), scale, labels))
    }

    /// The floor, where the axes have to reach it: a closer look is one at the losses.
    fn floor(&self) -> Option<f64> {
        let closer = matches!(self.look.zoom, Zoom::LastHalf | Zoom::LastFifth);
        self.progress.info().floor.filter(|floor| floor.is_finite() && !closer)
    }

    fn raw(&self) -> Vec<Point> {
        self.progress.steps().loss.points().map(|point| (point.step, point.value)).collect()
    }

    fn train(&self) -> Vec<Point> {
        self.progress.steps().loss.points().map(|point| (point.step, point.smooth)).collect()
    }

    fn valid(&self) -> Vec<Point> {
        self.progress.valid().points().map(|point| (point.step, point.value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{EvaluationRecord, StepRecord};
    use crate::view::progress::RunInfo;

    /// The chart as rows of text.
    fn rows(progress: &Progress, look: Look) -> Vec<String> {
        let area = Rect::new(0, 0, 60, 23);
        let mut buf = Buffer::empty(area);
        LossChart { progress, look }.render(area, &mut buf);
        (0..area.height).map(|y| (0..area.width).map(|x| buf[(x, y)].symbol()).collect()).collect()
    }

    fn run() -> Progress {
        Progress::new(RunInfo { total_steps: 100, floor: Some(1.0), ..RunInfo::default() })
    }

    /// A run whose losses fall steeply and then slowly.
    fn falling() -> Progress {
        let mut progress = Progress::new(RunInfo { total_steps: 1000, ..RunInfo::default() });
        for step in 1..=1000 {
            let loss = 1.0 + 9.0 * (-(step as f64) / 20.0).exp() + 0.5 * (1.0 - step as f64 / 1000.0);
            progress.on_step(StepRecord { step, loss, ..StepRecord::default() });
        }
        progress
    }

    /// The highest mark of the axis.
    fn highest_mark(rows: &[String]) -> f64 {
        let marks = rows.iter().filter_map(|row| row.split_once('┤')?.0.trim().parse().ok());
        marks.fold(f64::NEG_INFINITY, f64::max)
    }

    #[test]
    fn marks_stand_on_their_curve_and_ticks_beside_it() {
        let evaluation = |step| EvaluationRecord { step, loss: 2.0, ..EvaluationRecord::default() };
        let rows_with = |progress: &Progress, symbols: &dyn Fn(char) -> bool| -> Vec<usize> {
            let rows = rows(progress, Look::default());
            (0..20).filter(|y| rows[*y].chars().skip(6).any(symbols)).collect()
        };
        let mut progress = run();
        (0..=100).for_each(|step| progress.on_evaluation(evaluation(step)));
        let lines = rows_with(&progress, &|symbol| ('\u{2801}'..='\u{28ff}').contains(&symbol));
        assert_eq!(lines.len(), 2, "the curve and the floor");

        let mut few = run();
        [0, 50, 100].into_iter().for_each(|step| few.on_evaluation(evaluation(step)));
        assert_eq!(rows_with(&few, &|symbol| symbol == '●'), lines[..1]);
        let rows = rows(&few, Look::default());
        assert!(rows[lines[0]].starts_with("2.0 ┤") && rows[lines[1]].starts_with("1.0 ┤"), "{rows:#?}");
    }

    #[test]
    fn the_first_steps_do_not_take_the_height() {
        let progress = falling();
        let look = |zoom, logarithmic| Look { zoom, logarithmic, ..Look::default() };
        let usual = rows(&progress, Look::default());
        assert!(highest_mark(&usual) < 2.0, "{usual:#?}");
        let occupied = usual[..21].iter().filter(|row| row.chars().skip(40).any(|c| c > '\u{2800}')).count();
        assert!(occupied >= 6, "the last third of the run is no flat line: {usual:#?}");
        let full = rows(&progress, look(Zoom::FullHeight, false));
        assert!(highest_mark(&full) > 6.0, "{full:#?}");
        let fifth = rows(&progress, look(Zoom::LastFifth, false));
        assert!(fifth[22].contains("850") && !fifth[22].contains("500"), "{fifth:#?}");
        let logarithmic = rows(&progress, look(Zoom::FullHeight, true));
        let row = |mark: &str| logarithmic.iter().position(|row| row.trim_start().starts_with(mark));
        let [Some(one), Some(two), Some(five), Some(ten)] = ["1 ┤", "2 ┤", "5 ┤", "10 ┤"].map(row)
        else {
            panic!("{logarithmic:#?}")
        };
        assert!((one - two).abs_diff(five - ten) <= 1, "equal ratios are equally far: {logarithmic:#?}");
    }
}
