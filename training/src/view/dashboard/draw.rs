//! The picture as a whole: which parts are shown, and where, on a terminal of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::style::Color;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, BorderType, Padding, Paragraph, Wrap};

use super::chart::{LossChart, legend};
use super::panels::{self, DIM, FAINT};
use crate::view::format::thousands;
use crate::view::progress::Progress;

/// Columns that leave room for a panel of numbers beside the chart.
const PANELS: (u16, u16) = (64, 18);
/// Columns from which the sample stands beside the chart, not below it.
const WIDE: u16 = 120;

/// Draws the state of a run into all of `frame`, whatever its size.
pub(super) fn draw(frame: &mut Frame, progress: &Progress) {
    let area = frame.area();
    if area.width < PANELS.0 || area.height < PANELS.1 {
        draw_compact(frame, area, progress);
        return;
    }
    let [header, body, keys] =
        Layout::vertical([Constraint::Length(3), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    draw_header(frame, header, progress);
    draw_keys(frame, keys, progress);
    if area.width >= WIDE {
        let side = (area.width * 3 / 10).clamp(38, 52);
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(side)]).areas(body);
        let needed = numbers_height(progress);
        let [numbers, sample] =
            Layout::vertical([Constraint::Length(needed.min(body.height - 6)), Constraint::Fill(1)])
                .areas(right);
        draw_chart(frame, left, progress);
        draw_numbers(frame, numbers, progress);
        draw_sample(frame, sample, progress);
    } else {
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(28)]).areas(body);
        let below = (body.height * 3 / 8).clamp(5, 14);
        let [chart, sample] = Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(left);
        draw_chart(frame, chart, progress);
        draw_sample(frame, sample, progress);
        draw_numbers(frame, right, progress);
    }
}

/// The most important lines first, and the chart where some rows are left for it.
fn draw_compact(frame: &mut Frame, area: Rect, progress: &Progress) {
    let mut lines = vec![
        panels::gauge(progress, area.width),
        panels::losses(progress),
        panels::clock(progress, area.width),
    ];
    let spare = area.height.saturating_sub(lines.len() as u16 + 1);
    if area.height >= 10 {
        lines.insert(0, panels::status(progress));
    }
    let [text, chart, keys] = Layout::vertical([
        Constraint::Length(lines.len() as u16),
        Constraint::Fill(1),
        Constraint::Length(u16::from(spare > 0)),
    ])
    .areas(area);
    frame.render_widget(Text::from(lines), text);
    frame.render_widget(LossChart(progress), chart);
    draw_keys(frame, keys, progress);
}

fn draw_header(frame: &mut Frame, area: Rect, progress: &Progress) {
    let area = area.inner(Margin { horizontal: 1, vertical: 0 });
    let [first, second, third] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
    draw_apart(frame, first, panels::title(progress), panels::status(progress));
    frame.render_widget(panels::gauge(progress, area.width), second);
    let run_dir = Line::styled(progress.info().run_dir.display().to_string(), DIM);
    draw_apart(frame, third, panels::clock(progress, area.width), run_dir);
}

/// One line at the left and one at the right, which gives way where there is no room for both.
fn draw_apart(frame: &mut Frame, area: Rect, left: Line, right: Line) {
    let right_width = right.width() as u16;
    if left.width() as u16 + 2 + right_width <= area.width {
        let x = area.right() - right_width;
        frame.render_widget(right, Rect { x, width: right_width, ..area });
    }
    frame.render_widget(left, area);
}

fn draw_chart(frame: &mut Frame, area: Rect, progress: &Progress) {
    let block =
        panel("loss".into()).title_top(legend(progress).right_aligned()).padding(Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    frame.render_widget(LossChart(progress), inner);
}

/// Rows of the panel of numbers with a blank line between its groups.
fn numbers_height(progress: &Progress) -> u16 {
    let groups = panels::numbers(progress);
    (groups.iter().map(|group| group.len() + 1).sum::<usize>() + 1).max(3) as u16
}

fn draw_numbers(frame: &mut Frame, area: Rect, progress: &Progress) {
    let block = panel("numbers".into()).padding(Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let groups = panels::numbers(progress);
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

fn draw_sample(frame: &mut Frame, area: Rect, progress: &Progress) {
    let (title, text) = match progress.sample() {
        Some(sample) => {
            (format!("sample at step {}", thousands(sample.step)), Text::raw(sample.text.as_str()))
        }
        None => ("sample".into(), Text::styled("What the model writes, from the first evaluation on.", DIM)),
    };
    let block = panel(title).padding(Padding::horizontal(1));
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).block(block), area);
}

fn draw_keys(frame: &mut Frame, area: Rect, progress: &Progress) {
    let area = area.inner(Margin { horizontal: u16::from(area.width >= PANELS.0), vertical: 0 });
    draw_apart(frame, area, panels::keys(progress), panels::saved(progress));
}

fn panel(title: String) -> Block<'static> {
    // Its own colour, or it would have that of the frame.
    let title = Line::styled(format!(" {title} "), Color::Reset);
    Block::bordered().border_type(BorderType::Rounded).border_style(FAINT).title_top(title)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::run::{EvaluationRecord, StepRecord};
    use crate::view::progress::RunInfo;
    use crate::view::status::Status;

    fn screen(progress: &Progress, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, progress)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        (0..height).map(row).collect()
    }

    fn info() -> RunInfo {
        RunInfo {
            total_steps: 2_000,
            model: "0.80 M parameters, 4 layers × 128".into(),
            backend: "ndarray".into(),
            run_dir: "runs/tales".into(),
            floor: Some(1.25),
            time_limit: None,
            part: None,
        }
    }

    fn evaluation(step: usize, loss: f64) -> EvaluationRecord {
        EvaluationRecord { step, loss, ..EvaluationRecord::default() }
    }

    fn running() -> Progress {
        let mut progress = Progress::new(info());
        for step in 1..=1_000 {
            let loss = 1.5 + 3.0 / step as f64;
            let skipped = usize::from(step == 1_000);
            let (memory, utilization) = (Some(3 << 29), Some(0.341));
            let tokens = 4096 * step as u64;
            let record =
                StepRecord { step, loss, tokens, skipped, memory, utilization, ..StepRecord::default() };
            progress.on_step(StepRecord { learning_rate: 9.8e-4, grad_norm: 0.742, ..record });
            if step % 250 == 0 {
                progress.on_evaluation(evaluation(step, 2.0 - step as f64 / 2000.0));
            }
        }
        progress.on_sample(1_000, "Once upon a time\nthere was a fox.");
        progress.on_checkpoint();
        progress
    }

    #[test]
    fn shows_everything_at_80_by_24_and_wider() {
        for (width, height) in [(80, 24), (140, 40), (200, 60)] {
            let screen = screen(&running(), width, height).join("\n");
            for text in [
                "0.80 M parameters, 4 layers × 128 · ndarray",
                "● training",
                "50.0 %  1,000 / 2,000",
                "elapsed",
                "left",
                "runs/tales",
                "━● validation",
                "┄┄ floor",
                "training loss",
                "1.50",
                "validation loss",
                "perplexity",
                "4.482",
                "best validation",
                "at step",
                "1.2500",
                "9.80e-4",
                "0.742",
                "skipped steps",
                "4.10 M",
                "tokens/s",
                "34.1 %",
                "1.50 GiB",
                "0 s ago",
                "sample at step 1,000",
                "there was a fox.",
                "q quit   s save now   p pause",
                "saved 0 s ago",
                "500",
                "┤",
            ] {
                assert!(screen.contains(text), "no {text:?} at {width}×{height}:\n{screen}");
            }
        }
    }

    #[test]
    fn keeps_to_the_essential_where_it_is_narrow() {
        let screen = screen(&running(), 40, 12);
        assert!(
            screen[0].contains("● training") && screen[1].contains("50.0 %  1,000 / 2,000"),
            "{screen:#?}"
        );
        assert!(screen[2].contains("validation 1.5000") && screen[3].contains("elapsed"), "{screen:#?}");
        assert!(screen[4].contains("│") && screen[11].contains("q quit"), "{screen:#?}");
    }

    #[test]
    fn rows_without_a_value_are_left_out() {
        let screen = screen(&Progress::new(RunInfo { floor: None, ..info() }), 80, 24).join("\n");
        for text in ["validation", "floor", "MFU", "memory", "skipped", "checkpoint", "NaN", "tokens/s"] {
            assert!(!screen.contains(text), "{text} without a value:\n{screen}");
        }
        assert!(screen.contains("● starting") && screen.contains("The curves begin with the first step."));
    }

    #[test]
    fn says_so_where_p_goes_on() {
        let mut progress = running();
        progress.set_status(Status::Paused);
        let screen = screen(&progress, 80, 24).join("\n");
        assert!(screen.contains("● paused") && screen.contains("p resume"));
    }

    #[test]
    fn fits_any_size_whatever_the_run_is_like() {
        let mut broken = Progress::new(RunInfo { total_steps: 0, floor: Some(f64::NAN), ..info() });
        let mut huge = Progress::new(RunInfo { total_steps: usize::MAX, floor: Some(f64::MAX), ..info() });
        for (i, loss) in
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0].into_iter().enumerate()
        {
            let step = i;
            let tokens = (i as u64 + 1) << 60;
            let report = StepRecord {
                step,
                loss,
                tokens,
                learning_rate: loss,
                grad_norm: loss,
                ..StepRecord::default()
            };
            broken.on_step(StepRecord { loss: f64::NAN, ..report });
            broken.on_evaluation(evaluation(step, f64::NAN));
            huge.on_step(StepRecord { step: step << 60, ..report });
            huge.on_evaluation(evaluation(step << 60, loss));
        }
        broken.on_sample(1, "\u{1b}[31m宽字 e\u{301}\u{0}\n\n\n");
        let mut single = Progress::new(info());
        single.on_step(StepRecord { step: 1, loss: 3.0, tokens: 1, ..StepRecord::default() });
        let runs = [Progress::new(RunInfo::default()), broken, huge, single, running()];
        let heights = (1..=30).chain([40, 80]);
        for (run, height) in heights.flat_map(|height| runs.iter().map(move |run| (run, height))) {
            for width in (1..=30).chain([39, 40, 63, 64, 65, 79, 80, 119, 120, 121, 250]) {
                screen(run, width, height);
            }
        }
    }
}
