//! Runs that are killed, or interrupted, at any moment.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::run::{EVALUATION, assert_same, begin, checkpoints, go_on, lines, moments, wait};
use serde_json::Value;

/// Kills of a run; the environment may ask for more.
fn kills() -> usize {
    std::env::var("KILN_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5)
}

/// When a run is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// After that long, whatever it is doing.
    Any(Duration),
    /// While it writes a checkpoint.
    Checkpoint,
    /// While it evaluates.
    Evaluation,
}

impl Moment {
    /// Whether the run has come to it.
    fn is_now(self, began: Instant, run: &Path) -> bool {
        match self {
            Self::Any(after) => began.elapsed() >= after,
            Self::Checkpoint => run.join("checkpoint/writing.tmp").exists(),
            Self::Evaluation => is_evaluating(run).unwrap_or(false),
        }
    }
}

/// Whether the last line is that of a step that an evaluation follows.
fn is_evaluating(run: &Path) -> Option<bool> {
    let mut file = std::fs::File::open(run.join("metrics.jsonl")).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(600))).ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let last: Value = serde_json::from_str(text.lines().last()?).ok()?;
    Some(last["split"] == "train" && (last["step"].as_u64()? as usize).is_multiple_of(EVALUATION))
}

/// Kills a run again and again, lets it go on each time, and compares it with one that was left alone.
#[cfg(unix)]
fn kill_again_and_again(backend: &str, tolerance: f64) {
    use std::os::unix::process::ExitStatusExt;

    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let (kills, run) = (kills(), path.join("killed"));
    let steps = 2 * EVALUATION * (kills + 1);
    let wanted = format!("training.steps={steps}");
    let decay = format!("schedule.decay_steps={steps}");
    let more = ["--backend", backend, "--set", &wanted, "--set", &decay];

    let began = Instant::now();
    let mut whole = begin(path, "whole").args(more).spawn().expect("it runs");
    while checkpoints(&path.join("whole")).is_empty() {
        assert_eq!(whole.try_wait().expect("it can be asked"), None, "it ends before its first step");
        std::thread::sleep(Duration::from_millis(1));
    }
    let start = began.elapsed();
    assert_eq!(wait(whole), Some(0));
    // So short that the run is not over before the last kill.
    let span = (start + began.elapsed() / 12).as_micros() as u64;

    let (mut writing, mut evaluating) = (0, 0);
    for (number, random) in moments(1).take(kills).enumerate() {
        let moment = match number % 3 {
            0 => Moment::Any(Duration::from_micros(random % span)),
            1 => Moment::Checkpoint,
            _ => Moment::Evaluation,
        };
        let mut child = go_on(path, "killed", &more);
        let began = Instant::now();
        while !moment.is_now(began, &run) {
            assert_eq!(child.try_wait().expect("it can be asked"), None, "it is over before kill {number}");
            std::thread::sleep(Duration::from_micros(100));
        }
        child.kill().expect("it can be killed");
        assert_eq!(child.wait().expect("it ends").signal(), Some(9), "kill {number} came too late");
        writing += usize::from(run.join("checkpoint/writing.tmp").exists());
        evaluating += usize::from(is_evaluating(&run).unwrap_or(false));
    }
    eprintln!(
        "{backend}: {kills} kills within {steps} steps, {writing} while writing a checkpoint, {evaluating} in an evaluation"
    );
    assert!(kills < 3 || (writing > 0 && evaluating > 0));
    assert_eq!(wait(go_on(path, "killed", &more)), Some(0));
    // Then `model/` holds the final weights.
    let evaluations = lines(&run).into_iter().filter(|line| line["split"] == "valid");
    let best =
        evaluations.min_by(|a, b| a["loss"].as_f64().partial_cmp(&b["loss"].as_f64()).expect("numbers"));
    assert_eq!(best.expect("some")["step"], steps, "the best evaluation is the last");
    assert_same(path, ["killed", "whole"], steps, &more[..2], tolerance);
}

#[cfg(all(unix, feature = "ndarray"))]
#[test]
fn a_run_killed_at_any_moment_ends_as_if_it_had_not_been() {
    kill_again_and_again("ndarray", 0.0);
}

#[cfg(all(unix, feature = "flex"))]
#[test]
fn so_it_does_on_flex() {
    kill_again_and_again("flex", 0.0);
}

#[cfg(all(unix, feature = "tch"))]
#[test]
fn so_it_does_on_libtorch() {
    kill_again_and_again("tch", 1e-5);
}

/// Slow without a GPU: `cargo test --features wgpu --test resume -- --ignored`.
#[cfg(all(unix, feature = "wgpu"))]
#[test]
#[ignore = "minutes where wgpu computes on the CPU"]
fn so_it_does_on_wgpu() {
    kill_again_and_again("wgpu", 1e-5);
}

/// A signal in the middle of an evaluation must leave that evaluation to be done.
#[cfg(unix)]
#[test]
fn an_interrupted_evaluation_is_made_up_for() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    assert_eq!(wait(begin(path, "whole").spawn().expect("it runs")), Some(0));
    for moment in moments(7).take(8) {
        let mut child = go_on(path, "parts", &[]);
        std::thread::sleep(Duration::from_millis(200 + moment % 800));
        let (signal, expected) = if moment % 2 == 0 { ("-INT", 130) } else { ("-TERM", 143) };
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill is there").success());
        let code = child.wait().expect("it ends").code();
        // A signal that arrives while the program still starts, or already ends, is answered by the system.
        assert!([None, Some(0), Some(expected)].contains(&code), "{code:?}");
    }
    assert_eq!(wait(go_on(path, "parts", &[])), Some(0));
    assert_same(path, ["parts", "whole"], 60, &[], 0.0);
}
