//! How fast the run goes: tokens a second while it trains, and when it will be done.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The estimate looks back over this much training time, and at least [`FEWEST`] steps.
const WINDOW: Duration = Duration::from_secs(20);
/// Steps that are looked at even where they are older than [`WINDOW`].
const FEWEST: usize = 5;
/// Steps that are looked at at most, where they are very short.
const MOST: usize = 512;
/// A step that took this many medians was held up by something else (a laptop asleep, a busy disk).
const OUTLIER: f64 = 4.0;

/// What the time since the last mark was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// One optimizer step over this many tokens.
    Step { tokens: u64 },
    /// Evaluation, sampling, writing: part of the run, not of its training speed.
    Overhead,
    /// Paused by hand, or from before the first step: says nothing about the rest of the run.
    Idle,
}

/// A moving estimate from the durations of the latest steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Throughput {
    mark: Option<Instant>,
    steps: VecDeque<(Duration, u64)>,
    in_window: Duration,
    training: Duration,
    overhead: Duration,
}

impl Throughput {
    /// Accounts for the time since the previous call.
    pub(crate) fn mark(&mut self, now: Instant, spent: Spent) {
        let passed = self.mark.replace(now).map(|mark| now.saturating_duration_since(mark));
        match (spent, passed) {
            (Spent::Step { tokens }, Some(passed)) => self.push(passed, tokens),
            (Spent::Overhead, Some(passed)) => self.overhead += passed,
            (Spent::Idle, _) | (_, None) => {}
        }
    }

    /// Tokens a second over the latest steps, without those held up.
    pub(crate) fn tokens_per_second(&self) -> Option<f64> {
        let (seconds, tokens, _) = self.usual()?;
        Some(tokens as f64 / seconds)
    }

    /// Time of a step, over the latest steps, without those held up.
    pub(crate) fn step_time(&self) -> Option<Duration> {
        let (seconds, _, n) = self.usual()?;
        Some(Duration::from_secs_f64(seconds / n as f64))
    }

    /// How long `steps` more steps take, with the share of evaluations and checkpoints seen so far.
    pub(crate) fn time_for(&self, steps: usize) -> Option<Duration> {
        let (seconds, _, n) = self.usual()?;
        let share = self.overhead.as_secs_f64() / self.training.as_secs_f64();
        Duration::try_from_secs_f64(seconds / n as f64 * steps as f64 * (1.0 + share)).ok()
    }

    fn push(&mut self, passed: Duration, tokens: u64) {
        self.steps.push_back((passed, tokens));
        self.in_window += passed;
        self.training += passed;
        while self.steps.len() > MOST || (self.in_window > WINDOW && self.steps.len() > FEWEST) {
            let Some((oldest, _)) = self.steps.pop_front() else { break };
            self.in_window -= oldest;
        }
    }

    /// Seconds, tokens and number of the steps in the window that are no outliers.
    fn usual(&self) -> Option<(f64, u64, usize)> {
        let mut sorted: Vec<Duration> = self.steps.iter().map(|(passed, _)| *passed).collect();
        if sorted.is_empty() {
            return None;
        }
        let middle = sorted.len() / 2;
        let limit = sorted.select_nth_unstable(middle).1.mul_f64(OUTLIER);
        let usual = self.steps.iter().filter(|(passed, _)| *passed <= limit);
        let (passed, tokens, n) = usual
            .fold((Duration::ZERO, 0, 0), |(p, t, n), (passed, tokens)| (p + *passed, t + tokens, n + 1));
        (passed > Duration::ZERO).then_some((passed.as_secs_f64(), tokens, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(throughput: &mut Throughput, now: &mut Instant, steps: u64, millis: u64) {
        for _ in 0..steps {
            *now += Duration::from_millis(millis);
            throughput.mark(*now, Spent::Step { tokens: 100 });
        }
    }

    #[test]
    fn evaluations_count_for_the_end_but_not_for_the_speed() {
        let (mut t, mut now) = (Throughput::default(), Instant::now());
        t.mark(now, Spent::Idle);
        for _ in 0..4 {
            run(&mut t, &mut now, 50, 100);
            now += Duration::from_secs(5);
            t.mark(now, Spent::Overhead);
        }
        assert!((t.tokens_per_second().unwrap() - 1000.0).abs() < 1e-6);
        let left = t.time_for(100).unwrap().as_secs_f64();
        assert!((left - 20.0).abs() < 1e-6, "10 s of steps and as much evaluation, not {left}");
    }

    #[test]
    fn a_stall_and_a_pause_do_not_spoil_the_speed() {
        let (mut t, mut now) = (Throughput::default(), Instant::now());
        t.mark(now, Spent::Idle);
        run(&mut t, &mut now, 20, 100);
        run(&mut t, &mut now, 1, 9_000);
        now += Duration::from_secs(3600);
        t.mark(now, Spent::Idle);
        run(&mut t, &mut now, 20, 100);
        assert!((t.tokens_per_second().unwrap() - 1000.0).abs() < 1e-6);
    }

    #[test]
    fn a_change_of_speed_shows_within_the_window() {
        let (mut t, mut now) = (Throughput::default(), Instant::now());
        t.mark(now, Spent::Idle);
        run(&mut t, &mut now, 1000, 10);
        run(&mut t, &mut now, 100, 1000);
        assert!((t.tokens_per_second().unwrap() - 100.0).abs() < 1.0);
        assert!(t.steps.len() <= 21);
    }

    #[test]
    fn nothing_is_said_before_there_is_anything_to_say() {
        let mut t = Throughput::default();
        assert_eq!((t.tokens_per_second(), t.time_for(10)), (None, None));
        let now = Instant::now();
        t.mark(now, Spent::Step { tokens: 1 });
        t.mark(now, Spent::Step { tokens: 1 });
        assert_eq!((t.tokens_per_second(), t.time_for(10)), (None, None));
    }
}
