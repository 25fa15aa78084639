//! The help: what the keys do, and what the words on the screen mean.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Clear;

use super::look::Look;
use super::style::{ACCENT, BOLD, DIM, panel, with_hint};
use crate::view::progress::Progress;

/// Columns of the names.
const NAMES: u16 = 17;
/// Columns of the whole help, where there is room.
const WIDTH: u16 = 84;

/// What the words on the screen mean.
const WORDS: [(&str, &str); 17] = [
    ("training loss", "nats per token on the text just learned from, smoothed"),
    ("validation loss", "the same on text that is never learned from"),
    ("perplexity", "e to the validation loss: as unsure as among so many tokens"),
    ("best validation", "the lowest so far; model/ is the model of that step"),
    ("floor", "no model can expect a lower loss on this text"),
    ("learning rate", "how far a step moves the weights"),
    ("gradient norm", "how steep the loss is, before clipping"),
    ("skipped steps", "steps left out: loss or gradient was not finite"),
    ("tokens seen", "training tokens so far, each as often as it was read"),
    ("tokens/s, tok/s", "training speed of the latest steps, evaluations left out"),
    ("MFU", "model FLOPs utilisation: that speed as a share of what plain matrix products reach here"),
    ("memory", "what this program holds"),
    ("last checkpoint", "where --resume goes on"),
    ("elapsed, left", "time since the start, and until the run ends"),
    ("budget", "training.max_minutes: the run ends then, whatever its step"),
    ("last half, fifth", "what z shows of the steps; full height is every loss, also the first"),
    ("logarithmic", "equal distances are equal ratios: slow progress shows"),
];

/// Draws the help over the middle of the screen.
pub(super) fn draw(frame: &mut Frame, progress: &Progress, look: &mut Look) {
    let screen = frame.area();
    let width = screen.width.min(WIDTH);
    let block = panel("help".to_owned());
    let inner_width = block.inner(Rect { width, ..screen }).width;
    let lines = lines(progress, inner_width);
    let height = screen.height.min(lines.len() as u16 + 2);
    let (x, y) = (screen.x + (screen.width - width) / 2, screen.y + (screen.height - height) / 2);
    let area = Rect { x, y, width, height };
    let inner = block.inner(area);
    let seen = look.help_scroll.seen(&lines, inner.height).to_vec();
    frame.render_widget(Clear, area);
    let block = with_hint(block, look.help_scroll.hint());
    frame.render_widget(block.title_top(Line::styled(" Esc closes it ", DIM).right_aligned()), area);
    frame.render_widget(Text::from(seen), inner);
}

fn lines(progress: &Progress, width: u16) -> Vec<Line<'static>> {
    let keys =
        keys(progress).into_iter().flat_map(|(key, meaning)| entry(key, meaning, BOLD.fg(ACCENT), width));
    let words = WORDS.into_iter().flat_map(|(word, meaning)| entry(word, meaning, Style::new(), width));
    keys.chain([Line::default()]).chain(words).collect()
}

fn keys(progress: &Progress) -> Vec<(&'static str, &'static str)> {
    let quit = match progress.info().part {
        Some(_) => vec![
            ("q", "end the sweep, with a checkpoint of this run"),
            ("n", "end this run with a checkpoint and start the next"),
        ],
        None => vec![("q", "quit, with a checkpoint")],
    };
    let others = [
        ("s", "save a checkpoint now"),
        ("p", "pause; again: resume"),
        ("Tab, 1, 2", "losses and sample, or charts of the other numbers"),
        ("z", "zoom: the last half, the last fifth, every loss, and back"),
        ("l", "logarithmic axis of the losses, and back"),
        ("↑ ↓ PgUp PgDn", "scroll the sample, or this help"),
        ("?, h", "this help; Esc closes it"),
        ("Ctrl-C", "quit, with a checkpoint; twice: at once, without"),
    ];
    quit.into_iter().chain(others).collect()
}

/// A name, and beside it what it means, on as many lines as that takes.
fn entry(name: &'static str, meaning: &str, style: Style, width: u16) -> Vec<Line<'static>> {
    let beside = usize::from(width.saturating_sub(NAMES)).max(1);
    let line = |(number, text): (usize, std::borrow::Cow<'_, str>)| {
        let name = if number == 0 { name } else { "" };
        let gap = " ".repeat(usize::from(NAMES).saturating_sub(name.chars().count()));
        Line::from(vec![Span::styled(name, style), Span::raw(gap), Span::styled(text.into_owned(), DIM)])
    };
    textwrap::wrap(meaning, beside).into_iter().enumerate().map(line).collect()
}
