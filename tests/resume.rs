//! Runs that are killed, damaged or starved, and what is left of them: a run that continues is the one that never
//! stopped, bit for bit.

mod common;

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{TINY, kiln, stdout, train};
use kiln_training::RunDir;
use safetensors::SafeTensors;
use serde_json::Value;

/// Steps between evaluations.
const EVALUATION: usize = 12;

/// Dropout on, evaluations and checkpoints often, so that a kill may meet any of them.
const OFTEN: [&str; 20] = [
    "--set",
    "model.dropout=0.2",
    "--set",
    "training.steps=60",
    "--set",
    "training.eval_interval=12",
    "--set",
    "training.eval_batches=20",
    "--set",
    "training.checkpoint_interval=5",
    "--set",
    "training.keep_checkpoints=1",
    "--set",
    "training.grad_accumulation=2",
    "--set",
    "schedule.min_learning_rate=1e-5",
    "--set",
    "schedule.decay_steps=60",
    "--set",
    "training.max_minutes=0",
];

/// Kills of a run; the environment may ask for more.
fn kills() -> usize {
    std::env::var("KILN_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5)
}

fn begin(folder: &Path, run: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(["train", "--plain", "--run-dir", run]).args(TINY).args(OFTEN).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn resume(folder: &Path, run: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(["train", "--plain", "--run-dir", run, "--resume"]).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The lines without what depends on the clock.
fn lines(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("a run writes its metrics");
    let line = |line| {
        let mut line: Value = serde_json::from_str(line).expect("one object a line");
        let object = line.as_object_mut().expect("an object");
        assert!(object.remove("seconds").is_some() && object.remove("tokens_per_second").is_some());
        line
    };
    text.lines().map(line).collect()
}

fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoint")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("readable").path());
    let is_whole =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-"));
    paths.filter(is_whole).collect()
}

/// Begins the run, or lets it go on where it has a checkpoint to go on from.
fn go_on(folder: &Path, run: &str, more: &[&str]) -> Child {
    let begun = !checkpoints(&folder.join(run)).is_empty();
    let mut command = if begun { resume(folder, run) } else { begin(folder, run) };
    command.args(more).spawn().expect("it runs")
}

/// Whether two finished runs are the same: their lines, their best models, and the steps that would follow, which tell
/// of every weight and every moment. `tolerance` is relative; 0 asks for the same bits.
fn assert_same(folder: &Path, [one, other]: [&str; 2], steps: usize, more: &[&str], tolerance: f64) {
    let (a, b) = (folder.join(one), folder.join(other));
    let read = |run: &Path, name: &str| std::fs::read(run.join(name)).expect("readable");
    let (model_a, model_b) = (read(&a, "model/model.safetensors"), read(&b, "model/model.safetensors"));
    if tolerance == 0.0 {
        assert_eq!(read(&a, "samples.jsonl"), read(&b, "samples.jsonl"));
        assert!(model_a == model_b, "the best models differ");
    } else {
        let distance = distance(&model_a, &model_b);
        assert!(distance <= tolerance, "the best models differ by {distance}");
    }
    assert_same_lines(&a, &b, tolerance);
    let steps = steps + 4;
    for run in [one, other] {
        let mut command = resume(folder, run);
        command.args(more).args(["--set", &format!("training.steps={steps}")]);
        assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    }
    let lines = assert_same_lines(&a, &b, tolerance);
    assert_eq!(lines.iter().filter(|line| line["split"] == "train").count(), steps);
}

/// Compares the lines of two runs, and returns them.
fn assert_same_lines(a: &Path, b: &Path, tolerance: f64) -> Vec<Value> {
    let (a, b) = (lines(a), lines(b));
    if tolerance == 0.0 {
        assert_eq!(a, b);
    }
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert_eq!((&a["step"], &a["split"], &a["tokens"]), (&b["step"], &b["split"], &b["tokens"]));
        let (loss, other) = (a["loss"].as_f64().expect("a loss"), b["loss"].as_f64().expect("a loss"));
        assert!((loss - other).abs() <= tolerance * other, "{a} and {b}");
    }
    a
}

/// Largest relative distance of two models' tensors.
fn distance(a: &[u8], b: &[u8]) -> f64 {
    let [a, b] = [a, b].map(|bytes| SafeTensors::deserialize(bytes).expect("a model file"));
    let numbers = |bytes: &[u8]| -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
    };
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let distance = |(name, a): (String, safetensors::tensor::TensorView)| {
        let (a, b) = (numbers(a.data()), numbers(b.tensor(&name).expect("the same tensors").data()));
        norm(&a.iter().zip(&b).map(|(a, b)| a - b).collect::<Vec<_>>()) / norm(&b)
    };
    a.tensors().into_iter().map(distance).fold(0.0, f64::max)
}

fn wait(mut child: Child) -> Option<i32> {
    child.wait().expect("it ends").code()
}

/// Pseudo-random moments that differ from run to run would make a failure hard to repeat.
fn moments(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
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

#[test]
fn damage_is_found_named_and_the_checkpoint_before_is_used() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.keep_checkpoints=3", "--set", "training.steps=20"]);
    assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    let newest = checkpoints(&path.join("run")).into_iter().max().expect("one");
    let file = newest.join("optimizer.mpk");
    let mut bytes = std::fs::read(&file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("writable");

    std::fs::remove_dir_all(path.join("run/model")).expect("the best model is there");
    let output = kiln(path, ["train", "--plain", "--run-dir", "run", "--resume"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    stdout(&output);
    assert!(message.contains("step-00000020: optimizer.mpk: the checksum does not match"), "{message}");
    assert!(message.contains("continuing after step 15"), "{message}");
    let steps: Vec<Value> =
        lines(&path.join("run")).into_iter().filter(|line| line["split"] == "train").collect();
    assert_eq!(
        steps.iter().map(|line| line["step"].as_u64()).collect::<Vec<_>>(),
        (1..=20).map(Some).collect::<Vec<_>>()
    );
    assert!(path.join("run/model/model.safetensors").is_file(), "the best model is back");
    stdout(&kiln(path, ["eval", "--model", "run", "--data", "run/config.toml"]));
}

/// Cut short at any byte, or with any bit flipped, a checkpoint is named and the one before is used.
#[test]
fn no_damage_to_a_checkpoint_goes_unnoticed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=10", "--set", "training.keep_checkpoints=2"]);
    command.args(["--set", "model.d_model=8", "--set", "model.n_layers=1", "--set", "model.n_heads=2"]);
    command.args(["--set", "tokenizer.kind=char", "--set", "model.context_length=8"]);
    assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    let run = RunDir::open(&path.join("run")).expect("a run");
    let newest = checkpoints(run.path()).into_iter().max().expect("one");
    let expect_older = |name: &str, damage: &str| {
        let mut named = Vec::new();
        let found = run.newest_checkpoint(|path, reason| named.push((path.to_owned(), reason.to_owned())));
        assert_eq!(found.expect("the one before is whole").step(), 5, "{name}: {damage}");
        let [(place, reason)] = &named[..] else { panic!("{name}: {damage}: {named:?}") };
        // Of damaged checksums, the first file that they do not fit is named.
        let is_named = name == "checksums" || reason.starts_with(&format!("{name}: "));
        assert!(*place == newest && is_named, "{name}: {damage}: {reason}");
    };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&newest).expect("readable").map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    let sizes: Vec<usize> =
        files.iter().map(|file| std::fs::metadata(file).expect("readable").len() as usize).collect();
    let total: usize = sizes.iter().sum();
    let name = |file: &Path| file.file_name().expect("a name").to_string_lossy().into_owned();
    for file in &files {
        let whole = std::fs::read(file).expect("readable");
        let open = std::fs::OpenOptions::new().write(true).open(file).expect("writable");
        for length in (0..whole.len()).rev() {
            open.set_len(length as u64).expect("writable");
            expect_older(&name(file), &format!("{length} bytes left"));
        }
        std::fs::write(file, whole).expect("writable");
    }
    for random in moments(3).take(1000) {
        let mut place = random as usize % (8 * total);
        let index = sizes.iter().position(|size| {
            let here = place < 8 * size;
            place -= if here { 0 } else { 8 * size };
            here
        });
        let file = &files[index.expect("within the files")];
        let mut bytes = std::fs::read(file).expect("readable");
        bytes[place / 8] ^= 1 << (place % 8);
        std::fs::write(file, &bytes).expect("writable");
        expect_older(&name(file), &format!("bit {place}"));
        bytes[place / 8] ^= 1 << (place % 8);
        std::fs::write(file, &bytes).expect("writable");
    }
    eprintln!("{total} places to cut it short, 1000 flipped bits");
    let found = run.newest_checkpoint(|_, reason| panic!("{reason}"));
    assert_eq!(found.expect("whole again").step(), 10);
}

#[test]
fn a_configuration_that_contradicts_the_checkpoint_is_refused_key_by_key() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=6"]);
    assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    let resume = |set: &[&str]| {
        let set = set.iter().flat_map(|change| ["--set", change]);
        kiln(path, ["train", "--plain", "--run-dir", "run", "--resume"].into_iter().chain(set))
    };
    let refused = resume(&["model.n_layers=3", "optimizer.learning_rate=0.1", "training.steps=9"]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("model.n_layers = 3, the checkpoint has 2"), "{message}");
    assert!(message.contains("optimizer.learning_rate = 0.1, the checkpoint has 0.008"), "{message}");
    assert!(!message.contains("training.steps ="), "{message}");
    let before = resume(&["training.steps=3"]);
    assert!(String::from_utf8_lossy(&before.stderr).contains("step 6 is done already"));
    stdout(&resume(&["training.steps=9", "training.eval_interval=2", "generation.max_tokens=3"]));
    assert_eq!(lines(&path.join("run")).iter().filter(|line| line["split"] == "train").count(), 9);
}

#[test]
fn one_run_directory_has_one_process() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=1000000"]);
    let mut first = command.spawn().expect("it runs");
    while checkpoints(&path.join("run")).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = kiln(path, ["train", "--plain", "--run-dir", "run", "--resume"]);
    first.kill().expect("it can be killed");
    first.wait().expect("it ends");
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && message.contains("another process is training here"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_removed_directory_stays_removed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=1000000"]).stderr(Stdio::piped());
    let child = command.spawn().expect("it runs");
    while checkpoints(&path.join("run")).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::rename(path.join("run"), path.join("elsewhere")).expect("it can be moved");
    let output = child.wait_with_output().expect("it ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("the run directory is gone"), "{message}");
    assert!(!path.join("run").exists());
    // What it left is a run that continues.
    let done = lines(&path.join("elsewhere")).len() as u64;
    let steps = format!("training.steps={}", done + 100);
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "elsewhere", "--resume", "--set", &steps]));
}

/// A limit on the size of files stands for a full disk: the checkpoint before stays.
#[cfg(unix)]
#[test]
fn no_room_is_an_error_and_harms_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut command = begin(path, "run");
    command.args(["--set", "training.steps=10"]);
    assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
    let binary = env!("CARGO_BIN_EXE_kiln");
    let script =
        format!("ulimit -f 200; exec {binary} train --plain --run-dir run --resume --set training.steps=40");
    let full = Command::new("sh").args(["-c", &script]).current_dir(path).output().expect("a shell");
    let message = String::from_utf8_lossy(&full.stderr);
    assert_eq!(full.status.code(), Some(1), "{message}");
    assert!(message.to_lowercase().contains("too large"), "{message}");
    assert!(
        message.contains("hint: once that is put right, continue with `kiln train --run-dir run"),
        "{message}"
    );
    assert!(!path.join("run/checkpoint/writing.tmp").exists(), "half a checkpoint takes up room");
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "run", "--resume", "--set", "training.steps=12"]));
    assert_eq!(lines(&path.join("run")).iter().filter(|line| line["split"] == "train").count(), 12);
}

/// `batch_size` is the meaning of a step, however many windows are computed at a time.
#[test]
fn micro_batches_change_nothing_but_rounding() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let run = |name: &str, micro_batch: &str| {
        let mut command = begin(path, name);
        command.args([
            "--set",
            "training.batch_size=6",
            "--set",
            "model.dropout=0.0",
            "--set",
            "training.steps=20",
        ]);
        command.args(["--set", &format!("training.micro_batch_size={micro_batch}")]);
        assert_eq!(wait(command.spawn().expect("it runs")), Some(0));
        lines(&path.join(name))
    };
    let whole = run("whole", "6");
    for (name, micro_batch) in [("single", "1"), ("uneven", "4")] {
        let parts = run(name, micro_batch);
        assert_eq!(parts.len(), whole.len());
        for (a, b) in parts.iter().zip(&whole) {
            let (a, b) = (a["loss"].as_f64().expect("a loss"), b["loss"].as_f64().expect("a loss"));
            assert!((a - b).abs() / b <= 1e-5, "{name}: {a} and {b}");
        }
    }
    let sizes = ["training.batch_size=100000000", "training.micro_batch_size=100000000"];
    let refused = train(path, sizes.into_iter().flat_map(|change| ["--set", change]));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("is the largest that fits"), "{message}");
}
