//! A reply as it is printed.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use kiln_inference::{FinishReason, Reply};
use kiln_model::Backend;

use crate::output::{print_message, stdout};
use crate::word_wrap::WordWrap;

/// Prints a reply piece by piece until it is over or `is_stopped`; what there is to say about it goes to standard error.
pub fn print<B: Backend>(
    mut reply: Reply<'_, '_, B>,
    verbose: bool,
    is_stopped: impl Fn() -> bool,
) -> Result<()> {
    let (start, mut first) = (Instant::now(), None);
    let mut out = WordWrap::to_terminal(stdout());
    while !is_stopped() {
        let Some(piece) = reply.next() else { break };
        out.push(&printable(&piece?))?;
        if reply.tokens() > 0 {
            first.get_or_insert_with(|| start.elapsed().as_secs_f64());
        }
    }
    out.finish()?;
    writeln!(out)?;
    out.flush()?;
    let used = reply.prompt_tokens() + reply.tokens();
    if reply.finish_reason() == Some(FinishReason::Length) {
        print_message(match used >= reply.context_length() {
            true => format!("(cut off: the context of {} tokens is full)", reply.context_length()),
            false => format!("(cut off after {} tokens, as max_tokens says)", reply.tokens()),
        });
    }
    if verbose {
        let seconds = start.elapsed().as_secs_f64();
        print_message(format_args!(
            "({}; {used} of {} tokens of the context used, {} not read again)",
            speed(reply.tokens(), first, seconds),
            reply.context_length(),
            reply.cached()
        ));
    }
    Ok(())
}

/// How fast tokens came: the first, after reading what was said, and the others.
fn speed(tokens: usize, first: Option<f64>, seconds: f64) -> String {
    let Some(first) = first else { return format!("no token in {seconds:.2} s") };
    match tokens {
        1 => format!("1 token, after {first:.2} s"),
        _ => {
            let rate = (tokens - 1) as f64 / (seconds - first).max(f64::EPSILON);
            format!("{tokens} tokens, the first after {first:.2} s, then {rate:.1} tokens/s")
        }
    }
}

/// A text without what would control the terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| matches!(letter, '\n' | '\t') || !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_is_timed_apart() {
        assert_eq!(speed(0, None, 1.0), "no token in 1.00 s");
        assert_eq!(speed(1, Some(0.5), 0.6), "1 token, after 0.50 s");
        assert_eq!(speed(21, Some(0.5), 1.5), "21 tokens, the first after 0.50 s, then 20.0 tokens/s");
    }

    #[test]
    fn a_model_does_not_control_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\u{7}b\r\n\tc\u{9b}1m\u{7f}\u{0}é🧀"), "a[2Jb\n\tc1mé🧀");
    }
}
