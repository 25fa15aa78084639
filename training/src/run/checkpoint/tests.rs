use std::path::{Path, PathBuf};

use super::name::{Name, list};
use super::parts::RECORDS;
use super::sealed::{CHECKSUMS, Checkpoint, contents, newest, seal};
use super::state::RunState;
use super::store::remove_old;
use crate::run::outlier::Window;

/// A checkpoint of `step` with small records, and what it remembers.
fn write(folder: &Path, step: usize) -> (PathBuf, RunState) {
    let path = folder.join(Name { step, revision: 0 }.to_string());
    std::fs::create_dir_all(&path).expect("writable");
    for (name, length) in RECORDS.into_iter().zip([150, 230, 9]) {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 37 % 251) as u8).collect();
        std::fs::write(path.join(name), bytes).expect("writable");
    }
    let mut losses = Window::default();
    for i in 1..20 {
        losses.push(1.0 / f64::from(i));
    }
    let best = Some((3, 0.1 + 0.2));
    let state = RunState { step, best, losses, seconds: 1e-300, tokens: 1 << 60, ..RunState::default() };
    seal(&path, &state, "[model]\n").expect("writable");
    (path, state)
}

#[test]
fn comes_back_to_the_last_bit() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (path, state) = write(folder.path(), 7);
    let checkpoint = Checkpoint::open(&path).expect("whole");
    assert_eq!((checkpoint.state(), checkpoint.config(), checkpoint.step()), (&state, "[model]\n", 7));
}

#[test]
fn every_truncation_and_every_flipped_bit_is_found_and_the_one_before_is_used() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    write(folder.path(), 5);
    let (path, _) = write(folder.path(), 6);
    let expect_older = |file: &str, damage: &str| {
        let mut named = Vec::new();
        let found =
            newest(folder.path(), None, |path, reason| named.push((path.to_owned(), reason.to_owned())));
        let found = found.expect("readable").expect("the older one is whole");
        assert_eq!((found.step(), named.len()), (5, 1), "{file}: {damage}");
        assert_eq!(named[0].0, path);
        assert!(named[0].1.starts_with(file) || file == CHECKSUMS, "{file}: {damage}: {}", named[0].1);
    };
    for name in contents().chain([CHECKSUMS]) {
        let file = path.join(name);
        let whole = std::fs::read(&file).expect("readable");
        for length in 0..whole.len() {
            std::fs::write(&file, &whole[..length]).expect("writable");
            expect_older(name, &format!("{length} bytes left"));
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, bytes).expect("writable");
            expect_older(name, &format!("bit {bit}"));
        }
        std::fs::write(&file, [whole.as_slice(), b"x"].concat()).expect("writable");
        expect_older(name, "a byte more");
        std::fs::remove_file(&file).expect("it is there");
        expect_older(name, "no file");
        std::fs::write(&file, &whole).expect("writable");
    }
    assert_eq!(
        newest(folder.path(), None, |_, _| panic!("whole")).expect("readable").expect("one").step(),
        6
    );
    assert_eq!(
        newest(folder.path(), Some(5), |_, _| panic!("whole")).expect("readable").expect("one").step(),
        5
    );
}

#[test]
fn the_latest_the_best_and_nothing_damaged_stay() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for step in [2, 4, 6, 8, 10, 12] {
        write(folder.path(), step);
    }
    std::fs::rename(folder.path().join("step-00000008"), folder.path().join("step-00000008.1"))
        .expect("writable");
    write(folder.path(), 8);
    let newest = Name { step: 8, revision: 1 };
    remove_old(folder.path(), 2, newest, Some(2)).expect("writable");
    let left: Vec<String> =
        list(folder.path()).expect("readable").into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(left, ["step-00000002", "step-00000006", "step-00000008.1"]);
}
