//! The pipeline as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::{Dataset, Error, Result, Source, TokenShard, Tokenizer};

/// Prepares `sources` into a new folder.
fn prepared(
    sources: &[Source],
    tokenizer: &str,
    options: &PrepareOptions,
) -> (tempfile::TempDir, Result<Manifest>) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tokenizer = Tokenizer::open(tokenizer).expect("embedded");
    let outcome = prepare(sources, &tokenizer, &folder.path().join("out"), options, &mut |_| {});
    (folder, outcome)
}

fn bytes(folder: &tempfile::TempDir) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder.path().join("out"))
        .expect("it was written")
        .map(|entry| entry.expect("readable"))
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
        })
        .collect()
}

/// Texts of the documents in a shard.
fn documents(folder: &tempfile::TempDir, name: &str) -> Vec<String> {
    let tokenizer = Tokenizer::from_directory(&folder.path().join("out")).expect("saved");
    let shard = TokenShard::open(&folder.path().join("out").join(name)).expect("whole");
    let shard = shard.made_with(&tokenizer).expect("its own tokenizer");
    let tokens: Vec<u32> = shard.tokens(0..shard.len()).map(|token| token as u32).collect();
    let end = tokenizer.end_of_text().expect("GPT-2 has one");
    tokens
        .split_inclusive(|token| *token == end)
        .map(|document| tokenizer.decode(&document[..document.len() - 1]).expect("own tokens"))
        .collect()
}

/// `count` documents in JSON lines, of very different lengths.
fn lines(folder: &Path, name: &str, count: usize) -> Source {
    let documents =
        (0..count).map(|n| format!("document {name} {n} {}", "and on it goes ".repeat(n * n % 97)));
    let lines: String = documents.map(|text| format!("{{\"text\": {text:?}}}\n")).collect();
    std::fs::write(folder.join(name), lines).expect("writable");
    Source::new(folder.join(name))
}

#[test]
fn every_document_is_in_one_split_and_the_shares_are_as_asked() {
    let input = tempfile::tempdir().expect("a temporary directory");
    let source = lines(input.path(), "a.jsonl", 2000);
    let options = PrepareOptions { valid_fraction: 0.2, ..PrepareOptions::default() };
    let (folder, manifest) = prepared(&[source], "gpt2", &options);
    let manifest = manifest.expect("good input");
    let (train, valid) = (documents(&folder, "train.tokens"), documents(&folder, "valid.tokens"));
    assert_eq!(
        (manifest.train.documents, manifest.valid.documents),
        (train.len() as u64, valid.len() as u64)
    );
    // 2,000 draws with a chance of a fifth: 400, with a standard deviation of 18.
    assert!((330..470).contains(&valid.len()), "{}", valid.len());
    let all: BTreeSet<&String> = train.iter().chain(&valid).collect();
    assert_eq!(all.len(), 2000);
    assert!(all.iter().all(|text| text.starts_with("document a.jsonl ")));
    assert_eq!(manifest.train.text_bytes, train.iter().map(|text| text.len() as u64).sum::<u64>());
    assert_eq!(manifest.train.lengths.0.iter().sum::<u64>(), train.len() as u64);
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads_or_on_a_kill() {
    let input = tempfile::tempdir().expect("a temporary directory");
    for group in 0..3 {
        lines(input.path(), &format!("{group}.jsonl"), 3000);
    }
    let source = Source::new(input.path());
    let run = |threads| {
        let (folder, outcome) = prepared(
            std::slice::from_ref(&source),
            "byte",
            &PrepareOptions { threads, ..PrepareOptions::default() },
        );
        outcome.expect("good input");
        bytes(&folder)
    };
    let one = run(1);
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        ["dataset.json", "tokenizer.json", "tokenizer_config.json", "train.tokens", "valid.tokens"]
    );
    assert_eq!(run(2), one);
    assert_eq!(run(5), one);
}

#[test]
fn nothing_is_left_of_a_process_that_was_killed_while_it_put_the_result_together() {
    let [input, folder] = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    let source = lines(input.path(), "a.jsonl", 20);
    let (out, gpt2) = (folder.path().join("out"), Tokenizer::open("gpt2").expect("embedded"));
    let leave = || {
        let whole = out.join(".prepare/whole");
        std::fs::create_dir_all(&whole).expect("writable");
        for name in [".tmp0a1b2c", "train.tokens"] {
            std::fs::write(whole.join(name), "half of a shard").expect("writable");
        }
    };
    let run = || {
        let options = PrepareOptions::default();
        prepare(std::slice::from_ref(&source), &gpt2, &out, &options, &mut |_| leave()).expect("good input");
        bytes(&folder)
    };
    leave();
    let whole = run();
    assert_eq!(
        whole.keys().collect::<Vec<_>>(),
        ["dataset.json", "tokenizer.json", "tokenizer_config.json", "train.tokens", "valid.tokens"]
    );
    // After the last file was moved to its place.
    leave();
    assert_eq!(run(), whole);
}

#[test]
fn one_text_is_cut_as_nanogpt_cuts_it() {
    let input = tempfile::tempdir().expect("a temporary directory");
    let path = input.path().join("text.txt");
    std::fs::write(&path, "añbcdefghijklmn").expect("writable");
    let tokenizer = character_tokenizer(&[Source::new(&path)], &PrepareOptions::default()).expect("text");
    let out = input.path().join("out");
    let options = PrepareOptions::default();
    prepare(&[Source::new(&path)], &tokenizer, &out, &options, &mut |_| {}).expect("good input");
    // 15 characters, the first 13 to training: ⌊15 · 0.9⌋ = 13.
    let dataset = Dataset::open(&out, &tokenizer).expect("just written");
    let texts = [&dataset.train, &dataset.valid].map(|shard| {
        let tokens: Vec<u32> = shard.tokens(0..shard.len()).map(|token| token as u32).collect();
        tokenizer.decode(&tokens).expect("own tokens")
    });
    assert_eq!(texts, ["añbcdefghijkl", "mn"]);
}

#[test]
fn even_two_documents_fill_both_splits() {
    let input = tempfile::tempdir().expect("a temporary directory");
    for valid_fraction in [0.001, 0.999] {
        let source = lines(input.path(), "two.jsonl", 2);
        let options = PrepareOptions { valid_fraction, ..PrepareOptions::default() };
        let manifest = prepared(&[source], "gpt2", &options).1.expect("good input");
        assert_eq!((manifest.train.documents, manifest.valid.documents), (1, 1));
    }
}

#[test]
fn duplicates_are_dropped_on_request_and_never_in_both_splits() {
    let input = tempfile::tempdir().expect("a temporary directory");
    let (a, b) = (lines(input.path(), "a.jsonl", 300), input.path().join("b.jsonl"));
    std::fs::copy(&a.location, &b).expect("writable");
    let sources = [a, Source::new(b)];
    let options = PrepareOptions { valid_fraction: 0.3, ..PrepareOptions::default() };
    let (folder, manifest) = prepared(&sources, "gpt2", &options);
    assert_eq!(manifest.expect("good input").duplicates, 0);
    let set = |name| documents(&folder, name).into_iter().collect::<BTreeSet<_>>();
    assert!(set("train.tokens").is_disjoint(&set("valid.tokens")));
    let (folder, manifest) = prepared(&sources, "gpt2", &PrepareOptions { dedup: true, ..options });
    assert_eq!(manifest.expect("good input").duplicates, 300);
    assert_eq!(documents(&folder, "train.tokens").len() + documents(&folder, "valid.tokens").len(), 300);
}

#[test]
fn sources_are_mixed_by_weight() {
    let input = tempfile::tempdir().expect("a temporary directory");
    let a = Source { weight: 2.5, ..lines(input.path(), "a.jsonl", 1000) };
    let b = Source { weight: 0.5, ..lines(input.path(), "b.jsonl", 1000) };
    let (folder, manifest) = prepared(&[a, b], "gpt2", &PrepareOptions::default());
    let manifest = manifest.expect("good input");
    let train = documents(&folder, "train.tokens");
    let count = |name: &str, part: &[String]| part.iter().filter(|text| text.contains(name)).count() as f64;
    let (of_a, of_b) = (count("a.jsonl", &train), count("b.jsonl", &train));
    // About 900 documents each: 2,250 and 450, with a standard deviation of 15 from halves.
    assert!((2100.0..2400.0).contains(&of_a) && (370.0..530.0).contains(&of_b), "{of_a} {of_b}");
    // Any stretch is a fair sample.
    let front = &train[..train.len() / 3];
    let share = count("b.jsonl", front) / front.len() as f64;
    assert!((share - of_b / train.len() as f64).abs() < 0.03, "{share}");
    // Validation sees each document once.
    let valid = documents(&folder, "valid.tokens");
    assert_eq!(valid.iter().collect::<BTreeSet<_>>().len(), valid.len());
    assert_eq!(manifest.valid.documents, valid.len() as u64);
}

#[test]
fn bad_documents_are_refused_without_a_trace_or_counted() {
    let input = tempfile::tempdir().expect("a temporary directory");
    let path = input.path().join("a.jsonl");
    std::fs::write(&path, "\"one\"\n{\n\"two\"\n7\n\"three\"\n").expect("writable");
    let source = Source::new(&path);
    let (folder, outcome) = prepared(std::slice::from_ref(&source), "gpt2", &PrepareOptions::default());
    let message = outcome.expect_err("line 2 is broken").to_string();
    assert!(message.contains("a.jsonl:2: broken JSON"), "{message}");
    assert!(!folder.path().join("out").exists());
    let options = PrepareOptions { skip_bad: true, ..PrepareOptions::default() };
    let manifest = prepared(&[source], "gpt2", &options).1.expect("skipped");
    assert_eq!((manifest.skipped, manifest.train.documents + manifest.valid.documents), (2, 3));
    assert!(manifest.skipped_documents[1].reason.contains("a.jsonl:4"));

    std::fs::write(&path, "\" \"\n\n").expect("writable");
    let (folder, outcome) = prepared(&[Source::new(&path)], "gpt2", &PrepareOptions::default());
    assert!(matches!(outcome, Err(Error::NoText { .. })) && !folder.path().join("out").exists());
}

#[test]
fn a_prepared_folder_is_left_alone() {
    let input = tempfile::tempdir().expect("a temporary directory");
    let source = lines(input.path(), "a.jsonl", 20);
    let (folder, out) = (tempfile::tempdir().expect("a temporary directory"), "out");
    let out = folder.path().join(out);
    let gpt2 = Tokenizer::open("gpt2").expect("embedded");
    let run =
        |options: &PrepareOptions| prepare(std::slice::from_ref(&source), &gpt2, &out, options, &mut |_| {});
    let first = run(&PrepareOptions::default()).expect("good input");
    assert_eq!(
        run(&PrepareOptions { threads: 7, ..PrepareOptions::default() }).expect("done already"),
        first
    );
    let other = run(&PrepareOptions { seed: 7, ..PrepareOptions::default() });
    assert!(matches!(other, Err(Error::Prepared { .. })));
}
