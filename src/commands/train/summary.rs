//! What a run says at its end.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use kiln_training::Summary;

use crate::output;
use crate::settings::Settings;

/// Prints how the run went; `floor` is a loss that no model can beat.
pub fn print(
    summary: &Summary,
    settings: &Settings,
    vocab_size: usize,
    folder: &Path,
    floor: Option<f64>,
) -> Result<()> {
    let mut out = output::stdout();
    let tokens_per_second = summary.tokens as f64 / summary.seconds.max(1e-9);
    writeln!(
        out,
        "{} at step {} of {} after {:.0} s ({tokens_per_second:.0} tokens/s)",
        summary.stopped, summary.step, settings.training.steps, summary.seconds
    )?;
    if let Some((step, loss)) = summary.best {
        writeln!(
            out,
            "validation loss {loss:.4} nats per token (best, step {step}), perplexity {:.3}",
            loss.exp()
        )?;
        if let Some(floor) = floor {
            writeln!(
                out,
                "no model can expect less than {floor:.4} on this text: {:.4} to go",
                loss - floor
            )?;
        }
    }
    judge(summary, vocab_size, &mut out)?;
    if summary.skipped > 0 {
        writeln!(out, "{} steps were skipped because something was not finite", summary.skipped)?;
    }
    writeln!(out, "run directory {}: model/, metrics.jsonl, loss.svg", folder.display())?;
    Ok(())
}

/// How much worse than the best evaluation the last one may be before it is said.
const RISE: f64 = 0.02;

/// Says what a validation loss means that is not as one might hope.
fn judge(summary: &Summary, vocab_size: usize, out: &mut impl Write) -> Result<()> {
    let (Some((step, best)), Some(last)) = (summary.best, summary.last) else { return Ok(()) };
    if last.loss > best * (1.0 + RISE) {
        writeln!(
            out,
            "the validation loss rose from {best:.4} at step {step} to {:.4}: since then the text was learned by heart; model/ is \
             that of step {step}",
            last.loss
        )?;
    }
    let guessing = (vocab_size as f64).ln();
    if best >= guessing {
        writeln!(
            out,
            "that is no better than guessing among {vocab_size} tokens ({guessing:.4}): more text, or fewer tokens in the \
             vocabulary, would help"
        )?;
    }
    Ok(())
}
