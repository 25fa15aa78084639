//! What stops a run: contradictions, a second process, a directory that is gone, no room.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{kiln, stdout};
use crate::run::{begin, checkpoints, lines, wait};

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
