use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;

use super::super::look::Zoom;
use super::*;
use crate::run::{EvaluationRecord, StepRecord};
use crate::view::progress::RunInfo;
use crate::view::status::Status;

fn screen(progress: &Progress, width: u16, height: u16) -> Vec<String> {
    look_at(progress, Look::default(), width, height)
}

fn look_at(progress: &Progress, mut look: Look, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, progress, &mut look)).unwrap();
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
        time_limit: Some(Duration::from_secs(210)),
        part: None,
    }
}

fn evaluation(step: usize, loss: f64) -> EvaluationRecord {
    EvaluationRecord { step, loss, ..EvaluationRecord::default() }
}

fn running() -> Progress {
    let mut progress = Progress::new(info());
    progress.set_peak(120_000.0);
    let mut now = Instant::now();
    for step in 1..=1_000 {
        let loss = 1.5 + 3.0 / step as f64;
        let skipped = usize::from(step == 1_000);
        let (tokens, memory) = (4096 * step as u64, Some(3 << 29));
        let record = StepRecord { step, loss, tokens, skipped, memory, ..StepRecord::default() };
        let record = StepRecord { learning_rate: 9.8e-4, grad_norm: 0.742, ..record };
        now += Duration::from_millis(100);
        progress.on_step_at(now, StepRecord { tokens_per_second: 40_960.0, ..record });
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
    for (width, height) in [(80, 24), (100, 30), (140, 40), (200, 50)] {
        let screen = screen(&running(), width, height).join("\n");
        for text in [
            "0.80 M parameters, 4 layers × 128 · ndarray",
            "● training",
            "50.0 %  1,000 / 2,000",
            "elapsed",
            "left",
            "budget 3:30",
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
            "40,960",
            "last checkpoint",
            "q quit  s save  p pause  tab charts  ? help",
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
    assert!(screen[0].contains("● training") && screen[1].contains("50.0 %  1,000 / 2,000"), "{screen:#?}");
    assert!(screen[2].contains("validation 1.5000") && screen[3].contains("elapsed"), "{screen:#?}");
    assert!(screen[4].contains("│") && screen[11].contains("q quit"), "{screen:#?}");
}

#[test]
fn a_small_terminal_has_room_for_the_beginning_of_the_sample() {
    let screen = screen(&running(), 60, 15).join("\n");
    for text in ["training 1.50", "│", "sample at step 1,000", "Once upon a time", "q quit", "saved 0 s ago"]
    {
        assert!(screen.contains(text), "no {text:?}:\n{screen}");
    }
}

#[test]
fn charts_have_a_tab_and_a_large_terminal_shows_everything() {
    let charts = Look { tab: Tab::Charts, ..Look::default() };
    for (look, width, height) in
        [(charts, 80, 24), (charts, 100, 30), (charts, 140, 40), (Look::default(), 200, 50)]
    {
        let screen = look_at(&running(), look, width, height).join("\n");
        for title in ["╭ learning rate ", "╭ gradient norm ", "╭ tokens/s ", "╭ memory "] {
            assert!(screen.contains(title), "no {title:?} at {width}×{height}:\n{screen}");
        }
        for text in ["9.80e-4 ╮", "0.742 ╮", "1.50 GiB ╮", "40,960", "numbers", "validation loss"] {
            assert!(screen.contains(text), "no {text:?} at {width}×{height}:\n{screen}");
        }
        assert_eq!(screen.contains("━● validation"), look == Look::default(), "{screen}");
    }
    let wide = look_at(&running(), charts, 140, 40).join("\n");
    assert!(wide.contains("40,960 · 100 ms/step") && wide.contains("tab loss"), "{wide}");
}

#[test]
fn zoom_and_scale_are_told() {
    let look = Look { zoom: Zoom::LastFifth, logarithmic: true, ..Look::default() };
    let screen = look_at(&running(), look, 80, 24).join("\n");
    assert!(screen.contains("last fifth · logarithmic ╯") && !screen.contains("┄┄ floor"), "{screen}");
    assert!(!look_at(&running(), Look::default(), 80, 24).join("\n").contains("last fifth"));
}

#[test]
fn a_long_sample_says_that_there_is_more_and_scrolls() {
    let mut progress = running();
    let text: String = (1..=40).map(|n| format!("It was line number {n}.\n")).collect();
    progress.on_sample(1_000, &text);
    for (width, height) in [(60, 15), (80, 24), (100, 30), (200, 50)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut look = Look::default();
        let mut show = |look: &mut Look, progress: &Progress| {
            terminal.draw(|frame| draw(frame, progress, look)).unwrap();
            terminal.backend().to_string()
        };
        let first = show(&mut look, &progress);
        assert!(first.contains("line number 1.") && first.contains("more lines"), "{first}");
        look.sample_scroll.handle(KeyCode::End);
        let last = show(&mut look, &progress);
        assert!(last.contains("line number 40.") && !last.contains("line number 1."), "{last}");
        let mut later = progress.clone();
        later.on_sample(1_100, "A new one.");
        assert!(show(&mut look, &later).contains("A new one."), "the next is read from its beginning");
    }
}

#[test]
fn the_help_explains_keys_and_words() {
    for (width, height) in [(60, 15), (80, 24), (100, 30), (200, 50)] {
        let mut look = Look { help: true, ..Look::default() };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut seen = String::new();
        for _ in 0..60 {
            terminal.draw(|frame| draw(frame, &running(), &mut look)).unwrap();
            seen += &terminal.backend().to_string();
            look.help_scroll.handle(KeyCode::Down);
        }
        for word in ["save a checkpoint", "Tab", "floor", "MFU", "perplexity", "logarithmic", "Ctrl-C"] {
            assert!(seen.contains(word), "no {word:?} at {width}×{height}:\n{seen}");
        }
    }
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
    for (i, loss) in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0].into_iter().enumerate()
    {
        let step = i;
        let tokens = (i as u64 + 1) << 60;
        let report =
            StepRecord { step, loss, tokens, learning_rate: loss, grad_norm: loss, ..StepRecord::default() };
        broken.on_step(StepRecord { loss: f64::NAN, ..report });
        broken.on_evaluation(evaluation(step, f64::NAN));
        huge.on_step(StepRecord { step: step << 60, ..report });
        huge.on_evaluation(evaluation(step << 60, loss));
    }
    broken.on_sample(1, "\u{1b}[31m宽字 e\u{301}\u{0}\n\n\n");
    let mut single = Progress::new(info());
    single.on_step(StepRecord { step: 1, loss: 3.0, tokens: 1, ..StepRecord::default() });
    let runs = [Progress::new(RunInfo::default()), broken, huge, single, running()];
    let heights = (1..=20).chain([24, 30, 44, 80]);
    for (run, height) in heights.flat_map(|height| runs.iter().map(move |run| (run, height))) {
        for width in (1..=12).chain([24, 39, 40, 63, 64, 79, 80, 119, 120, 160, 250]) {
            let looks = [
                Look::default(),
                Look { tab: Tab::Charts, zoom: Zoom::LastHalf, ..Look::default() },
                Look { logarithmic: true, zoom: Zoom::FullHeight, ..Look::default() },
                Look { help: true, ..Look::default() },
            ];
            for look in looks {
                look_at(run, look, width, height);
            }
        }
    }
}
