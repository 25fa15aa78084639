//! Checkpoints that are cut short or have flipped bits.

use std::path::{Path, PathBuf};

use crate::common::{kiln, stdout};
use crate::run::{begin, checkpoints, lines, moments, wait};
use kiln_training::RunDir;
use serde_json::Value;

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
