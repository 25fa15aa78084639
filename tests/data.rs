//! `kiln data`, driven as users drive it.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{kiln, refuse, stdout, train};
use kiln_datasets::{TokenShard, Tokenizer};

/// Files of a folder, hidden ones left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("it was written").map(|entry| entry.expect("readable"));
    let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    named
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, path)| (name, std::fs::read(path).expect("a file")))
        .collect()
}

/// JSON lines of `bytes` together, no two alike.
fn corpus(path: &Path, bytes: usize) {
    let mut text = String::new();
    for n in 0.. {
        if text.len() >= bytes {
            break;
        }
        let words = "once upon a time there was a kiln that fired clay ".repeat(n % 40 + 1);
        text.push_str(&format!("{{\"text\": \"story {n}: {words}\"}}\n"));
    }
    std::fs::write(path, text).expect("writable");
}

const PREPARE: [&str; 6] = ["data", "prepare", "--data", "in", "--tokenizer", "gpt2"];

#[test]
fn prepare_then_look_then_train_then_resume() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("in")).expect("writable");
    corpus(&path.join("in/a.jsonl"), 60_000);
    std::fs::write(path.join("in/b.md"), "# A kiln\n\nIt is hot.\n").expect("writable");
    let arguments = ["data", "prepare", "--data", "in", "--tokenizer", "byte", "--out", "out", "--json"];
    let manifest: serde_json::Value =
        serde_json::from_str(&stdout(&kiln(path, arguments))).expect("one object");
    let info = stdout(&kiln(path, ["data", "info", "out", "--json"]));
    let info: serde_json::Value = serde_json::from_str(&info).expect("one object");
    let total =
        |key: &str| manifest["train"][key].as_u64().zip(manifest["valid"][key].as_u64()).map(|(a, b)| a + b);
    for key in ["tokens", "documents", "text_bytes"] {
        assert_eq!(info[key].as_u64(), total(key), "{key}");
    }
    assert_eq!((info["kind"].as_str(), info["tokenizer"].as_str()), (Some("prepared"), Some("byte")));
    let shown = stdout(&kiln(path, ["data", "info", "in/b.md", "--tokenizer", "byte"]));
    assert!(shown.contains("# A kiln") && shown.contains("bytes per token  1.0000"), "{shown}");

    let set = ["--set", "data.path=out", "--set", "training.steps=4", "--set", "training.eval_interval=2"];
    stdout(&train(path, ["--run-dir", "run"].into_iter().chain(set)));
    assert!(!path.join("run/data/train.tokens").exists(), "the shards are read where they are");
    let resumed =
        kiln(path, ["train", "--plain", "--run-dir", "run", "--resume", "--set", "training.steps=6"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));

    let other = train(path, ["--run-dir", "other", "--set", "tokenizer.kind=gpt2"].into_iter().chain(set));
    let message = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(2), "{message}");
    assert!(message.contains("\"byte\"") && message.contains("\"gpt2\""), "{message}");
}

#[test]
fn killed_and_resumed_gives_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("in")).expect("writable");
    for n in 0..3 {
        corpus(&path.join(format!("in/{n}.jsonl")), 17_000_000);
    }
    stdout(&kiln(path, PREPARE.into_iter().chain(["--out", "whole", "--threads", "2"])));
    stdout(&kiln(path, PREPARE.into_iter().chain(["--out", "one", "--threads", "1"])));
    assert_eq!(files(&path.join("one")), files(&path.join("whole")), "one thread or two");

    let mut running = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(PREPARE)
        .args(["--out", "killed", "--threads", "1"])
        .current_dir(path)
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let finished = || {
        let entries = std::fs::read_dir(path.join("killed/.prepare")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "part")).count()
    };
    let begun = Instant::now();
    while finished() == 0 && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    running.kill().expect("it still runs");
    running.wait().expect("it was ours");
    assert!(finished() > 0 && !path.join("killed/dataset.json").exists(), "killed on the way");
    stdout(&kiln(path, PREPARE.into_iter().chain(["--out", "killed"])));
    assert_eq!(files(&path.join("killed")), files(&path.join("whole")));
    assert!(!path.join("killed/.prepare").exists());
}

#[test]
fn text_has_the_loss_of_the_shard_that_is_prepared_from_it() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("in")).expect("writable");
    corpus(&path.join("in/a.jsonl"), 30_000);
    stdout(&kiln(path, ["tokenize", "train", "--data", "in", "--vocab-size", "300", "--out", "bpe"]));
    let prepare = ["data", "prepare", "--data", "in", "--tokenizer", "bpe", "--valid-fraction", "0.3"];
    stdout(&kiln(path, prepare.into_iter().chain(["--out", "out"])));
    let set = ["--set", "data.path=out", "--set", "tokenizer.kind=bpe", "--set", "training.steps=2"];
    stdout(&train(path, ["--run-dir", "run"].into_iter().chain(set)));

    let tokenizer = Tokenizer::from_directory(&path.join("out")).expect("beside the shards");
    let end = tokenizer.end_of_text().expect("a learned tokenizer has one");
    let eval = |data: &str| stdout(&kiln(path, ["eval", "--model", "run", "--data", data, "--json"]));
    for split in ["train", "valid"] {
        let name = format!("out/{split}.tokens");
        let shard = TokenShard::open(&path.join(&name)).expect("just written");
        let tokens: Vec<u32> = shard.tokens(0..shard.len()).map(|token| token as u32).collect();
        std::fs::create_dir(path.join(split)).expect("writable");
        for (index, document) in tokens.split_inclusive(|token| *token == end).enumerate() {
            let text = tokenizer.decode(&document[..document.len() - 1]).expect("own tokens");
            std::fs::write(path.join(split).join(format!("{index:04}.txt")), text).expect("writable");
        }
        assert_eq!(eval(split), eval(&name), "{split}: a folder of texts, and the shard");
    }
    assert_eq!(eval("valid"), eval("out"), "the validation split of a prepared folder");
}

/// A token file of llm.c.
fn llm_c(path: &Path, tokens: impl IntoIterator<Item = u16>) {
    let payload: Vec<u8> = tokens.into_iter().flat_map(u16::to_le_bytes).collect();
    let mut bytes = vec![0; 1024];
    for (index, number) in [20_240_520, 1, payload.len() as u32 / 2].into_iter().enumerate() {
        bytes[index * 4..index * 4 + 4].copy_from_slice(&u32::to_le_bytes(number));
    }
    bytes.extend(payload);
    std::fs::write(path, bytes).expect("writable");
}

#[test]
fn a_folder_of_many_shards_is_trained_on_and_a_change_of_it_is_noticed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("web")).expect("writable");
    let shard = |name: &str, tokens| llm_c(&path.join("web").join(name), tokens);
    for n in 1..=3 {
        shard(&format!("web_train_{n:06}.bin"), n * 100..n * 100 + 40);
    }
    shard("web_val_000000.bin", 1000..1040);
    let info = stdout(&kiln(path, ["data", "info", "web", "--json"]));
    let info: serde_json::Value = serde_json::from_str(&info).expect("one object");
    assert_eq!((&info["splits"]["train"]["tokens"], &info["tokens"]), (&120.into(), &160.into()));

    let set = ["--set", "data.path=web", "--set", "tokenizer.kind=gpt2", "--set", "training.eval_interval=1"];
    stdout(&train(path, ["--run-dir", "run", "--set", "training.steps=1"].into_iter().chain(set)));
    let resume = ["train", "--plain", "--run-dir", "run", "--resume", "--set", "training.steps=2"];
    for (change, words) in [
        (
            &(|| shard("web_train_000002.bin", 500..541)) as &dyn Fn(),
            ["web_train_000002.bin", "held 40", "41 now"],
        ),
        (&|| shard("web_train_000002.bin", 500..540), ["web_train_000002.bin", "others than then", "hint:"]),
        (
            &|| std::fs::remove_file(path.join("web/web_train_000002.bin")).expect("it is there"),
            ["web_train_000002.bin", "gone", "hint:"],
        ),
    ] {
        change();
        let config = std::fs::read(path.join("run/config.toml")).expect("a run");
        refuse(path, resume, &words);
        assert_eq!(std::fs::read(path.join("run/config.toml")).expect("a run"), config);
    }
    shard("web_train_000002.bin", 200..240);
    stdout(&kiln(path, resume));
}

#[test]
fn damaged_shards_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    corpus(&path.join("in.jsonl"), 30_000);
    stdout(&kiln(path, ["data", "prepare", "--data", "in.jsonl", "--tokenizer", "byte", "--out", "out"]));
    let shard = path.join("out/train.tokens");
    let whole = std::fs::read(&shard).expect("just written");
    for at in [0, 9, 20, 130, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        std::fs::write(&shard, damaged).expect("writable");
        for command in [&["data", "info", "out"][..], &["train", "--plain", "--set", "data.path=out"]] {
            refuse(path, command.iter().copied(), &["train.tokens"]);
        }
    }
    assert!(!path.join("runs").exists(), "nothing is left of a run that never began");
    llm_c(&path.join("x.bin"), [1, 2, 300]);
    let info = ["data", "info", "x.bin", "--tokenizer", "byte"];
    refuse(path, info, &["x.bin", "token 300", "\"byte\"", "256 tokens"]);
}

/// The bytes of a table with a text in each of three rows.
fn table() -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    let schema = parquet::schema::parser::parse_message_type("message m { required binary text (UTF8); }");
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema.expect("valid").into(), Default::default())
        .expect("memory");
    let mut rows = writer.next_row_group().expect("memory");
    let mut column = rows.next_column().expect("memory").expect("one column");
    let texts = ["one text", "another text", "the last text"].map(ByteArray::from);
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).expect("memory");
    column.close().expect("memory");
    rows.close().expect("memory");
    writer.close().expect("memory");
    bytes
}

#[test]
fn a_damaged_table_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let whole = table();
    let prepare = ["data", "prepare", "--tokenizer", "byte", "--out", "out", "--data", "a.parquet"];
    std::fs::write(path.join("a.parquet"), &whole).expect("writable");
    refuse(path, prepare.into_iter().chain(["--field", "body"]), &["a.parquet", "no field `body`", "`text`"]);
    let mut refused = 0;
    // Byte 12 is a length that the library takes at its word, and panics.
    for at in (0..whole.len()).step_by(2) {
        let mut damaged = whole.clone();
        damaged[at] ^= 8;
        std::fs::write(path.join("a.parquet"), damaged).expect("writable");
        let output = kiln(path, prepare);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!message.contains("panicked"), "byte {at}: {message}");
        if !output.status.success() {
            refused += 1;
            assert_eq!(output.status.code(), Some(2), "byte {at}: {message}");
            assert!(message.starts_with("error: a.parquet"), "byte {at}: {message}");
            assert!(!path.join("out").exists(), "byte {at}");
        }
        let _ = std::fs::remove_dir_all(path.join("out"));
    }
    assert!(refused > whole.len() / 10, "{refused} of {}", whole.len());
    std::fs::write(path.join("a.parquet"), &whole).expect("writable");
    stdout(&kiln(path, prepare));
}

#[test]
fn bad_input_is_one_sentence_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::create_dir(path.join("empty")).expect("writable");
    let packed = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b];
    for (name, bytes, words) in [
        ("a.jsonl", &b"{\"text\": \"a\"}\n{\"text\": \n"[..], &["a.jsonl:2", "broken JSON"][..]),
        ("b.jsonl", b"{\"body\": \"a\"}\n", &["b.jsonl:1", "no field `text`", "`body`", "hint:"]),
        ("c.csv", b"id,body\n1,a\n", &["c.csv:1", "no field `text`"]),
        ("d.parquet", b"this is text", &["d.parquet", "not a Parquet file"]),
        ("e.txt.gz", &packed, &["e.txt.gz", "gzip", "cut short"]),
        ("f.txt", b"caf\xe9 au lait", &["f.txt:1", "byte 3", "UTF-8", "--lossy"]),
        ("g.txt", b" \n", &["g.txt", "empty"]),
        ("empty", b"", &["empty", "no .txt"]),
        ("*.toml", b"", &["*.toml", "no file in this folder matches"]),
        ("missing", b"", &["missing", "No such file"]),
        ("h.csv", b"text,text\na,b\n", &["h.csv:1", "columns 1 and 2 are both called `text`"]),
        ("i.txt", b"%PDF-1.4\n", &["i.txt", "a PDF document, not text", "pdftotext"]),
        ("j.txt", &packed, &["j.txt", "packed with gzip", "ends in .gz"]),
        ("k.txt", b"PK\x03\x04", &["k.txt", "a ZIP archive", "unpack it"]),
    ] {
        if !bytes.is_empty() {
            std::fs::write(path.join(name), bytes).expect("writable");
        }
        let output = kiln(path, ["data", "prepare", "--tokenizer", "gpt2", "--out", "out", "--data", name]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {message}");
        for word in words {
            assert!(message.contains(word), "{name}: no {word:?} in: {message}");
        }
        assert!(!path.join("out").exists(), "{name} left something behind");
    }
    for (option, value, words) in [
        ("--threads", "99999", "1..=1024"),
        ("--weights", "1e300", "at most 10000"),
        ("--weights", "0", "more than 0"),
    ] {
        let output = kiln(
            path,
            ["data", "prepare", "--tokenizer", "byte", "--out", "out", "--data", "f.txt", option, value],
        );
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && message.contains(words), "{message}");
    }
    let lossy = ["data", "prepare", "--tokenizer", "byte", "--out", "lossy", "--data", "f.txt", "--lossy"];
    stdout(&kiln(path, lossy));
    let skipping =
        ["data", "prepare", "--tokenizer", "byte", "--out", "skipping", "--data", "a.jsonl", "--skip-bad"];
    assert!(stdout(&kiln(path, skipping)).contains("a.jsonl:2"));

    // Several, of every kind: counted, and each listed.
    std::fs::create_dir(path.join("many")).expect("writable");
    for name in ["a.jsonl", "b.jsonl", "c.csv", "d.parquet", "e.txt.gz", "f.txt"] {
        std::fs::copy(path.join(name), path.join("many").join(name)).expect("writable");
    }
    let many =
        ["data", "prepare", "--tokenizer", "byte", "--out", "many-out", "--data", "many", "--skip-bad"];
    let listed = stdout(&kiln(path, many));
    assert!(listed.contains(" 6 documents skipped"), "{listed}");
    for place in ["a.jsonl:2: ", "b.jsonl:1: ", "c.csv:1: ", "d.parquet: ", "e.txt.gz: ", "f.txt:1: "] {
        assert!(listed.contains(place), "no {place:?} in: {listed}");
    }
}

#[test]
fn standard_input_and_the_cargo_registry_are_sources() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let crates = path.join("home/registry/src/index/some-crate-1.0.0/src");
    std::fs::create_dir_all(&crates).expect("writable");
    std::fs::write(crates.join("lib.rs"), "pub fn kiln() {}\n").expect("writable");
    std::fs::write(crates.join("main.rs"), "fn main() { kiln() }\n").expect("writable");
    std::fs::write(crates.join("notes.txt"), "not code").expect("writable");
    std::fs::write(path.join("text"), "from a pipe\n".repeat(10)).expect("writable");
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_kiln"))
            .args(["data", "prepare", "--tokenizer", "byte", "--json"])
            .args(arguments)
            .env("CARGO_HOME", path.join("home"))
            .stdin(std::fs::File::open(path.join("text")).expect("just written"))
            .current_dir(path)
            .output()
            .expect("the binary runs")
    };
    let read = |output| -> serde_json::Value { serde_json::from_str(&stdout(&output)).expect("one object") };
    let cargo = read(run(&["--data", "cargo", "--out", "cargo-out"]));
    assert_eq!(cargo["train"]["documents"].as_u64().zip(cargo["valid"]["documents"].as_u64()), Some((1, 1)));
    let piped = read(run(&["--data", "-", "--out", "piped"]));
    assert_eq!((&piped["train"]["tokens"], &piped["valid"]["tokens"]), (&108.into(), &12.into()));
}

#[test]
fn a_tokenizer_that_nobody_named_is_said_to_be_assumed() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::write(path.join("a.txt"), "some text").expect("writable");
    let info = |args: &[&str]| stdout(&kiln(path, ["data", "info"].into_iter().chain(args.iter().copied())));
    assert!(info(&["a.txt"]).contains("gpt2, 50257 tokens; assumed, `--tokenizer` names another"));
    assert!(!info(&["a.txt", "--tokenizer", "gpt2"]).contains("assumed"));
    llm_c(&path.join("a.bin"), [1, 2, 50_256]);
    assert!(info(&["a.bin"]).contains("assumed"));
    // No token of GPT-2's: whose it is, nobody knows.
    llm_c(&path.join("b.bin"), [1, 2, 60_000]);
    assert!(info(&["b.bin", "--json"]).contains("\"tokenizer\":\"unknown\""));
}
