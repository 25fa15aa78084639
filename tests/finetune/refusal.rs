//! What cannot be learned from is refused before anything is written.

use crate::common::{refuse, stdout, train};
use crate::start::{base, labelled_texts, preferences};

#[test]
fn bad_labels_are_refused_with_their_line_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    labelled_texts(path);
    for (name, text, words) in [
        ("one.csv", "text,label\na,x\nb,x\n", &["one.csv", "all training texts have the label \"x\""][..]),
        ("empty.csv", "text,label\na,x\n\"\",y\n", &["empty.csv:3", "empty"]),
        ("none.csv", "message,class\na,x\n", &["none.csv", "no column `text`", "`message`"]),
        ("plain.txt", "just text\n", &["plain.txt", "no records"]),
    ] {
        std::fs::write(path.join(name), text).expect("writable");
        let valid = ["--valid", "texts.csv", "--run-dir", "new"];
        refuse(
            path,
            ["finetune", "classify", "--model", "base", "--data", name].into_iter().chain(valid),
            words,
        );
        assert!(!path.join("new").exists(), "{name}");
    }
    std::fs::write(path.join("unseen.csv"), "text,label\na,ham\nb,other\n").expect("writable");
    let unseen = ["finetune", "classify", "--model", "base", "--data", "texts.csv", "--valid", "unseen.csv"];
    refuse(path, unseen, &["unseen.csv:3", "\"other\"", "`ham`, `spam`"]);
    let other =
        ["finetune", "classify", "--model", "base", "--data", "texts.csv", "--set", "model.n_layers=9"];
    refuse(path, other, &["--set model.n_layers = 9: the model that is tuned has 2"]);
    refuse(
        path,
        ["classify", "--model", "base", "--text", "x"],
        &["no classifier", "kiln finetune classify"],
    );
    let pretraining = ["train", "--set", "finetune.epochs=1"];
    refuse(path, pretraining, &["[finetune] is not for `kiln train`"]);
}

#[test]
fn parts_that_end_up_empty_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    labelled_texts(path);
    preferences(path);
    let same = "{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"a\"}\n";
    std::fs::write(path.join("same.jsonl"), same).expect("writable");
    for (task, data, valid, words) in [
        ("dpo", "pairs.jsonl", "same.jsonl", ["pairs.jsonl: too few examples", "evaluate on"]),
        ("dpo", "same.jsonl", "pairs.jsonl", ["same.jsonl: too few examples", "train on"]),
        // What is evaluated is not learned.
        ("classify", "texts.csv", "texts.csv", ["texts.csv: too few examples", "train on"]),
    ] {
        let files = ["--data", data, "--valid", valid, "--run-dir", "new"];
        refuse(path, ["finetune", task, "--model", "base"].into_iter().chain(files), &words);
        assert!(!path.join("new").exists(), "{data}");
    }
}

#[test]
fn a_character_that_the_tokenizer_does_not_know_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    stdout(&train(
        path,
        ["--run-dir", "letters", "--set", "tokenizer.kind=char", "--set", "training.steps=2"],
    ));
    std::fs::write(path.join("texts.csv"), "text,label\nan apple,good\na 梨,good\nno apple,bad\n")
        .expect("writable");
    std::fs::write(path.join("valid.csv"), "text,label\none apple,good\n").expect("writable");
    let task = ["finetune", "classify", "--model", "letters", "--data", "texts.csv", "--run-dir", "new"];
    refuse(path, task.into_iter().chain(["--valid", "valid.csv"]), &["texts.csv:3", "梨"]);
    assert!(!path.join("new").exists());
}
