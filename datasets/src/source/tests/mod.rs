//! Every format, whole and damaged.

mod columns;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::{Error, Result};

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
    std::fs::write(&path, bytes).expect("writable");
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn texts(source: &Source) -> Result<Vec<String>> {
    let mut documents = Vec::new();
    for file in source.files()? {
        file.documents(&ReadOptions::default(), &mut |text| {
            documents.push(text.to_owned());
            Ok(())
        })?;
    }
    Ok(documents)
}

/// What reading `name` is refused with.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = write(folder.path(), name, bytes);
    let error = texts(&Source::new(&path)).expect_err("it is bad");
    error.to_string().replace(&folder.path().display().to_string(), "DIR")
}

#[test]
fn each_format_gives_its_documents_packed_or_not() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let files: [(&str, &str); 7] = [
        ("a.txt", "one\ntwo"),
        ("a.rs", "one\ntwo"),
        ("a.jsonl", "{\"id\": 1, \"text\": \"one\\ntwo\"}\n\n\"three\"\n{\"text\":\" \"}\n"),
        ("a.json", "[{\"text\": \"one\\ntwo\", \"id\": [1, {}]}, \"three\"]"),
        ("b.json", "\u{FEFF}{\"text\": \"one\\ntwo\"}\n{\"text\": \"three\"}"),
        ("a.csv", "id,text\n1,\"one\ntwo\"\n2,three\n"),
        ("a.tsv", "id\ttext\n1\tone \"two\n2\tthree\n"),
    ];
    for (name, text) in files {
        let expected: &[&str] = match name {
            "a.txt" | "a.rs" => &["one\ntwo"],
            "a.tsv" => &["one \"two", "three"],
            _ => &["one\ntwo", "three"],
        };
        let zstd = zstd::encode_all(text.as_bytes(), 1).expect("memory");
        // Two members in one file, as `cat a.gz b.gz` makes them, are one text.
        let (front, back) = text.as_bytes().split_at(3);
        let members = [gzip(front), gzip(back)].concat();
        for (ending, bytes) in [("", text.as_bytes()), (".gz", &members), (".zst", &zstd)] {
            let path = write(folder.path(), &format!("{name}{ending}"), bytes);
            assert_eq!(texts(&Source::new(path)).expect("whole"), expected, "{name}{ending}");
        }
    }
}

/// The texts of a file with those bytes.
fn read(name: &str, bytes: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    texts(&Source::new(write(folder.path(), name, bytes))).expect("a sound file")
}

#[test]
fn a_mark_before_the_text_is_no_part_of_it() {
    for (name, text) in [
        ("a.txt", "one"),
        ("a.csv", "\"text\",id\none,1\n"),
        ("a.tsv", "text\tid\none\t1\n"),
        ("a.jsonl", "{\"text\": \"one\"}"),
        ("a.json", "[\"one\"]"),
    ] {
        let marked = format!("\u{FEFF}{text}");
        assert_eq!(read(name, marked.as_bytes()), ["one"], "{name}");
        assert_eq!(read(&format!("{name}.gz"), &gzip(marked.as_bytes())), ["one"], "{name}.gz");
    }
    assert_eq!(read("a.txt", "a\u{FEFF}b".as_bytes()), ["a\u{FEFF}b"], "within a text it is a character");
    assert!(refusal("a.txt", b"\xEF\xBB\xBFab\n\xff").starts_with("DIR/a.txt:2: byte 6 of the file"));
    assert!(refusal("a.txt", b"\xFF\xFEa\0b\0").ends_with("a.txt: the text is UTF-16, not UTF-8"));
}

#[test]
fn columns_are_picked_by_number_without_a_header_and_by_name_with_one() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (table, field, expected) in [
        ("ham\tOk lar...\nspam\tFree \"entry\n", "2", &["Ok lar...", "Free \"entry"][..]),
        ("id\t1\n7\tone\n8\ttwo\n", "1", &["one", "two"]),
        ("0\t1\n7\tone\n8\t2\n", "1", &["one", "2"]),
        ("0\t1\none\t7\ntwo\t8\n", "0", &["one", "two"]),
        // The labels 1 to 5 are no header.
        ("2\tone\n1\ttwo\n", "2", &["one", "two"]),
    ] {
        let path = write(folder.path(), "a.tsv", table.as_bytes());
        let source = Source { field: field.to_owned(), ..Source::new(path) };
        assert_eq!(texts(&source).expect("whole"), expected, "{table:?}");
    }
}

#[test]
fn rows_that_lost_or_swallowed_something_are_refused() {
    for (name, table, words) in [
        ("a.csv", "id,text\n1,Hello, world\n", ":2: 3 columns, but line 1 has 2"),
        ("a.tsv", "id\ttext\n1\tHello\tworld\n", ":2: 3 columns, but line 1 has 2"),
        ("a.csv", "id,text,label\n1,broken\nin two,ham\n", ":2: 2 columns, but line 1 has 3"),
        ("a.csv", "id,text\n1,\"open\n2,b\n3,c\n", ":2: the quote that opens here is never closed"),
        ("a.csv", "id,text\n1,\"open\n2,b\n3,\"c\"\n", ":2: the quote that opens here is closed on line 4"),
    ] {
        let message = refusal(name, table.as_bytes());
        assert!(message.contains(words), "{table:?}: {message}");
    }
}

#[test]
fn what_python_writes_as_json_is_read() {
    let lines = br#"{"score": NaN, "text": "one"}
{"text": "NaN", "scores": [Infinity, -Infinity]}
{"text": "\ud83d\ude00"}
"#;
    assert_eq!(read("a.jsonl", lines), ["one", "NaN", "😀"]);
    assert_eq!(read("a.json", lines), ["one", "NaN", "😀"]);
    assert!(refusal("a.jsonl", b"{\"text\": NaN}").contains("`text` is null, not a string"));
    assert!(refusal("a.jsonl", b"{\"text\": \"a\", \"b\": nan}").contains("broken JSON"));
    for half in ["bad \\udbc0 end", "low \\udc00", "two \\ud83d\\ud83d"] {
        let bytes = format!("{{\"text\": \"{half}\"}}");
        for name in ["a.jsonl", "a.json"] {
            let message = refusal(name, bytes.as_bytes());
            assert!(message.contains("half of a character, a lone surrogate, at column"), "{message}");
        }
    }
}

#[test]
fn a_zstandard_file_with_the_largest_window_is_read() {
    // A frame with a window of 2 GiB and one block, which is not packed.
    let text = b"a text that is short";
    let frame =
        [&[0x28, 0xB5, 0x2F, 0xFD, 0x00, (31 - 10) << 3, 1 | (text.len() as u8) << 3, 0, 0][..], text]
            .concat();
    assert_eq!(read("a.txt.zst", &frame), ["a text that is short"]);
}

#[cfg(unix)]
#[test]
fn links_to_folders_are_followed_once_and_a_pipe_among_files_is_named() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
    write(&inside, "a/one.txt", b"one");
    write(&outside, "two.txt", b"two");
    for (target, link) in
        [(&outside, "in/b"), (&inside, "in/c"), (&inside.join("a"), "in/d"), (&inside, "out/back")]
    {
        std::os::unix::fs::symlink(target, folder.path().join(link)).expect("writable");
    }
    assert_eq!(texts(&Source::new(&inside)).expect("two files"), ["one", "two"]);

    let made = std::process::Command::new("mkfifo").arg(inside.join("a/three.txt")).status();
    assert!(made.expect("every Unix has mkfifo").success());
    let error = texts(&Source::new(&inside)).expect_err("a pipe is no file").to_string();
    assert!(error.contains("in/a/three.txt: neither a file nor a folder"), "{error}");
    let error = texts(&Source::new("/dev/zero")).expect_err("it never ends");
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
}

#[test]
fn folders_take_what_is_usual_or_what_is_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for name in ["b/one.txt", "a.md", "c.txt", "d.png", "src/main.rs", "src/deep/lib.rs", ".git/x.txt"] {
        write(folder.path(), name, name.as_bytes());
    }
    let take = |include: &[&str], exclude: &[&str]| {
        let owned = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let source =
            Source { include: owned(include), exclude: owned(exclude), ..Source::new(folder.path()) };
        texts(&source)
    };
    assert_eq!(take(&[], &[]).expect("text"), ["a.md", "b/one.txt", "c.txt"]);
    assert_eq!(take(&["*.rs"], &[]).expect("text"), ["src/deep/lib.rs", "src/main.rs"]);
    assert_eq!(take(&["src/*.rs"], &[]).expect("text"), ["src/main.rs"]);
    assert_eq!(take(&[], &["b/**", "*.md"]).expect("text"), ["c.txt"]);
    assert!(matches!(take(&["*.java"], &[]), Err(Error::NoText { .. })));
    assert!(matches!(take(&["[a"], &[]), Err(Error::Pattern { .. })));

    assert_eq!(texts(&Source::new(folder.path().join("*.txt"))).expect("text"), ["c.txt"]);
    assert_eq!(texts(&Source::new(folder.path().join("**/*.txt"))).expect("text"), ["b/one.txt", "c.txt"]);
    assert!(matches!(texts(&Source::new(folder.path().join("*.doc"))), Err(Error::NoText { .. })));
    assert!(matches!(texts(&Source::new(folder.path().join("missing"))), Err(Error::Io { .. })));
}

#[test]
fn bad_input_is_named_by_file_and_place() {
    assert!(
        refusal("a.txt", b"one\ntwo\nth\xffree").starts_with("DIR/a.txt:3: byte 10 of the file is not UTF-8")
    );
    assert!(refusal("a.txt", b"cut \xe4\xbd").starts_with("DIR/a.txt:1: byte 4"));
    assert!(refusal("a.jsonl", b"{\"text\":\"a\"}\n{\"text\":\n").starts_with("DIR/a.jsonl:2: broken JSON"));
    assert!(refusal("a.jsonl", b"{\"text\":\"a\"} x\n").starts_with("DIR/a.jsonl:1: broken JSON"));
    assert!(refusal("a.jsonl", b"{\"body\":\"a\"}\n").contains(":1: no field `text`; there is `body`"));
    assert!(refusal("a.jsonl", b"{\"text\":7}\n").contains("`text` is a number, not a string"));
    assert!(refusal("a.jsonl", b"\"a\"\n\"\xff\"\n").starts_with("DIR/a.jsonl:2: byte 5"));
    assert!(
        refusal("a.json", b"[{\"text\":\"a\"}, {\"body\":\"b\"}]").contains("DIR/a.json: record 2: no field")
    );
    assert!(refusal("a.json", b"[{\"text\":\"a\"}, {\"text\"").contains("DIR/a.json: record 2: broken JSON"));
    assert!(
        refusal("a.csv", b"id,body\n1,a\n").contains("DIR/a.csv:1: no field `text`; there is `id`, `body`")
    );
    assert!(refusal("a.csv", b"id,text\n1,a\n2\n").contains("DIR/a.csv:3: 1 columns, but line 1 has 2"));
    assert!(refusal("a.parquet", b"PAR1 no, this is not").contains("DIR/a.parquet: not a Parquet file"));
    let packed = gzip(&b"some text ".repeat(100));
    assert!(refusal("a.txt.gz", &packed[..packed.len() - 9]).contains("gzip data is damaged or cut short"));
    let packed = zstd::encode_all(&b"some text ".repeat(100)[..], 1).expect("memory");
    assert!(refusal("a.txt.zst", &packed[..packed.len() - 3]).contains("zstd data is damaged or cut short"));
    assert!(refusal("a.txt.zst", b"plain").contains("zstd data is damaged"));
}

#[test]
fn what_is_bad_can_be_skipped_and_wrong_bytes_replaced() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = write(folder.path(), "a.jsonl", b"\"one\"\n{\n\"tw\xff\"\n\"th\\ud800ree\"\n");
    let file = Source::new(path).files().expect("it is there").remove(0);
    let read = |options: ReadOptions| {
        let (mut texts, mut bad) = (Vec::new(), 0);
        file.read(&options, &mut |event| {
            match event {
                ReadEvent::Text(text) => texts.push(text.to_owned()),
                ReadEvent::End(_) => {}
                ReadEvent::Bad(_) => bad += 1,
            }
            Ok(())
        })
        .expect("nothing is refused");
        (texts, bad)
    };
    assert_eq!(read(ReadOptions::default()), (vec!["one".into()], 3));
    let lossy = ReadOptions { lossy: true, ..ReadOptions::default() };
    assert_eq!(read(lossy), (vec!["one".into(), "tw\u{FFFD}".into(), "th\u{FFFD}ree".into()], 1));
}

#[test]
fn characters_that_straddle_the_buffer_are_whole() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let text = format!("x{}", "你🦀é".repeat(100_000));
    let path = write(folder.path(), "a.txt", text.as_bytes());
    assert_eq!(texts(&Source::new(path)).expect("whole"), [text]);
}
