//! Progress as lines of text, for a log or a pipe: one every few seconds, one for each evaluation.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::format::{duration, learning_rate, loss, rate, short, thousands};
use super::progress::Progress;
use super::status::Status;
use crate::run::EvaluationRecord;

/// Least time between two lines about steps.
const EVERY: Duration = Duration::from_secs(2);

/// Writes what is new in a [`Progress`] since the last call, thinned out to what a person can read.
#[derive(Clone, Debug)]
pub(crate) struct PlainLines {
    every: Duration,
    written: Option<Instant>,
    step: usize,
    evaluation: Option<usize>,
    sample: Option<usize>,
    skipped: usize,
    told_of_limit: bool,
}

impl Default for PlainLines {
    fn default() -> Self {
        Self {
            every: EVERY,
            written: None,
            step: 0,
            evaluation: None,
            sample: None,
            skipped: 0,
            told_of_limit: false,
        }
    }
}

impl PlainLines {
    /// Lines about what happens from now on: not what a resumed run has behind it.
    pub(crate) fn after(progress: &Progress) -> Self {
        Self {
            evaluation: progress.evaluation().map(|evaluation| evaluation.step),
            sample: progress.sample().map(|sample| sample.step),
            skipped: progress.skipped_steps(),
            ..Self::default()
        }
    }

    /// Writes the lines that are due; to be called after each change of `progress`.
    ///
    /// The first step, the last one and each that is evaluated have a line of their own; of the others one is
    /// written every few seconds.
    ///
    /// # Errors
    /// What `out` says.
    pub(crate) fn update(&mut self, progress: &Progress, out: &mut dyn Write) -> io::Result<()> {
        self.update_at(Instant::now(), progress, out)
    }

    fn update_at(&mut self, now: Instant, progress: &Progress, out: &mut dyn Write) -> io::Result<()> {
        let evaluation = progress.evaluation().filter(|e| self.evaluation != Some(e.step));
        let sample = progress.sample().filter(|s| self.sample != Some(s.step));
        let due = self.written.is_none_or(|at| now.saturating_duration_since(at) >= self.every);
        let last = progress.step() >= progress.info().total_steps || *progress.status() == Status::Finished;
        if progress.latest().is_some_and(|l| l.step != self.step) && (due || last || evaluation.is_some()) {
            self.written = Some(now);
            self.step = progress.step();
            step_line(progress, out)?;
        }
        if let Some(step) = progress.steps_in_time().filter(|_| !self.told_of_limit) {
            self.told_of_limit = true;
            let step = thousands(step);
            writeln!(
                out,
                "the time limit ends the run at about step {step}: the learning rate comes down by then"
            )?;
        }
        if progress.skipped_steps() > self.skipped {
            self.skipped = progress.skipped_steps();
            let s = if self.skipped == 1 { "" } else { "s" };
            writeln!(out, "{} step{s} skipped so far: loss or gradient not finite", thousands(self.skipped))?;
        }
        if let Some(evaluation) = evaluation {
            self.evaluation = Some(evaluation.step);
            let best = progress.best().filter(|best| best.step != evaluation.step);
            let rank = match best {
                None if evaluation.loss.is_nan() => String::new(),
                None => ", best so far".into(),
                Some(best) => format!(", best {} at step {}", loss(best.loss), thousands(best.step)),
            };
            writeln!(
                out,
                "evaluation at step {}: validation loss {}{}{rank}",
                thousands(evaluation.step),
                loss(evaluation.loss),
                meaning(&evaluation),
            )?;
        }
        if let Some(sample) = sample {
            self.sample = Some(sample.step);
            writeln!(out, "sample at step {}:", thousands(sample.step))?;
            for line in sample.text.lines() {
                writeln!(out, "{}", format!("    {line}").trim_end())?;
            }
        }
        Ok(())
    }
}

/// `step   250/2,000  loss 1.9321  lr 9.80e-4  grad 0.742  18,214 tok/s  elapsed 0:31  eta 3:40`
fn step_line(progress: &Progress, out: &mut dyn Write) -> io::Result<()> {
    let Some(latest) = progress.latest() else { return Ok(()) };
    let total = thousands(progress.info().total_steps);
    write!(
        out,
        "step {:>width$}/{total}  loss {:>7}  lr {:>7}  grad {:>6}",
        thousands(progress.step()),
        // The last value where it is not finite: the average does not know of it.
        loss(progress.train_loss().filter(|_| latest.loss.is_finite()).unwrap_or(latest.loss)),
        learning_rate(latest.learning_rate),
        short(latest.grad_norm),
        width = total.len(),
    )?;
    let speed = progress.tokens_per_second().map_or("-".into(), rate);
    write!(out, "  {speed:>7} tok/s  elapsed {:>7}", duration(progress.elapsed()))?;
    if let Some(eta) = progress.eta() {
        write!(out, "  eta {:>7}", duration(eta))?;
    }
    writeln!(out)
}

/// What a loss says: how the task goes, or the perplexity.
fn meaning(evaluation: &EvaluationRecord) -> String {
    let rows = evaluation.task.rows();
    if rows.is_empty() {
        return format!(" (perplexity {})", perplexity(evaluation.perplexity()));
    }
    rows.iter().map(|(name, value)| format!(", {name} {value}")).collect()
}

fn perplexity(perplexity: f64) -> String {
    if (1e-2..1e4).contains(&perplexity) { format!("{perplexity:.2}") } else { short(perplexity) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{History, StepRecord, TaskFigures};
    use crate::view::progress::RunInfo;

    fn report(step: usize, loss: f64) -> StepRecord {
        let tokens = 4096 * step as u64;
        StepRecord { step, loss, tokens, learning_rate: 9.8e-4, grad_norm: 0.742, ..StepRecord::default() }
    }

    fn evaluation(step: usize, loss: f64) -> EvaluationRecord {
        EvaluationRecord { step, loss, ..EvaluationRecord::default() }
    }

    fn run(total_steps: usize) -> Progress {
        Progress::new(RunInfo { total_steps, ..RunInfo::default() })
    }

    #[test]
    fn a_line_now_and_then_and_one_for_each_evaluation() {
        let (mut progress, mut lines, mut out) = (run(2_000), PlainLines::default(), Vec::new());
        let mut now = Instant::now();
        for step in 1..=2_000 {
            now += Duration::from_millis(10);
            progress.on_step_at(now, report(step, 2.0));
            if step % 900 == 0 {
                progress.on_evaluation_at(now, evaluation(step, 1.7712 + step as f64 / 1e5));
                progress.on_sample(step, "One.\n\nTwo.");
            }
            lines.update_at(now, &progress, &mut out).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        let steps: Vec<&str> = text.lines().filter(|l| l.starts_with("step")).map(|l| &l[..16]).collect();
        let expected = [1, 201, 401, 601, 801, 900, 1100, 1300, 1500, 1700, 1800, 2000];
        assert_eq!(steps, expected.map(|step| format!("step {:>5}/2,000", thousands(step))), "{text}");
        let first = "evaluation at step 900: validation loss 1.7802 (perplexity 5.93), best so far\n\
            sample at step 900:\n    One.\n\n    Two.\n";
        assert!(text.contains(first), "{text}");
        let second =
            "evaluation at step 1,800: validation loss 1.7892 (perplexity 5.98), best 1.7802 at step 900\n";
        assert!(text.contains(second), "{text}");
    }

    #[test]
    fn an_evaluation_of_a_task_says_how_it_goes() {
        let (mut progress, mut lines, mut out) = (run(10), PlainLines::default(), Vec::new());
        let task = TaskFigures { accuracy: Some(0.975), ..TaskFigures::default() };
        progress.on_evaluation(EvaluationRecord { task, ..evaluation(5, 0.25) });
        lines.update(&progress, &mut out).unwrap();
        let expected = "evaluation at step 5: validation loss 0.2500, accuracy 97.5 %, best so far\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn columns_are_aligned() {
        let (mut progress, mut lines, mut out) =
            (run(2_000), PlainLines { every: Duration::ZERO, ..PlainLines::default() }, Vec::new());
        let now = Instant::now();
        for (step, seconds, loss) in [(1, 0, 10.8), (2, 1, 10.1), (3, 2, 9.5), (1_500, 3, 1.9)] {
            let record = StepRecord { tokens: 4096 * (seconds + 1), ..report(step, loss) };
            progress.on_step_at(now + Duration::from_secs(seconds), record);
            lines.update_at(now + Duration::from_secs(seconds), &progress, &mut out).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        for column in ["loss", "lr", "grad", "tok/s", "elapsed"] {
            let places: Vec<_> = text.lines().map(|line| line.find(column)).collect();
            assert!(
                places[0].is_some() && places.iter().all(|place| *place == places[0]),
                "{column}:\n{text}"
            );
        }
        let third = "step     3/2,000  loss 10.4528  lr 9.80e-4  grad  0.742    4,096 tok/s  elapsed    0:00  eta   33:17";
        assert_eq!(text.lines().nth(2).map(str::len), Some(third.len()), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_resumed_run_does_not_tell_its_past() {
        let mut progress = run(10);
        let history = History { steps: vec![report(1, 3.0)], evaluations: vec![evaluation(1, 2.5)] };
        progress.resume(&history, 500, 1);
        progress.on_sample(1, "text");
        let (mut lines, mut out) = (PlainLines::after(&progress), Vec::new());
        lines.update(&progress, &mut out).unwrap();
        assert!(out.is_empty(), "{}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn nothing_twice_and_nothing_hidden() {
        let (mut progress, mut lines, mut out) = (run(10), PlainLines::default(), Vec::new());
        lines.update(&progress, &mut out).unwrap();
        assert!(out.is_empty());
        progress.on_step(StepRecord { skipped: 1, ..report(1, f64::NAN) });
        progress.on_evaluation(evaluation(1, f64::NAN));
        lines.update(&progress, &mut out).unwrap();
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(text.contains("loss     NaN") && text.contains("1 step skipped so far"), "{text}");
        assert!(text.ends_with("evaluation at step 1: validation loss NaN (perplexity NaN)\n"), "{text}");
        lines.update(&progress, &mut out).unwrap();
        assert_eq!(out.len(), text.len());
    }
}
