//! Records of every format, with the place of each.

use std::io::Write;
use std::path::Path;

use super::*;
use crate::{Location, ReadOptions, Result, Source};

fn read(folder: &Path, name: &str, bytes: &[u8]) -> Result<Vec<(Location, String)>> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("writable");
    let mut records = Vec::new();
    Source::new(path).files()?.remove(0).records(&ReadOptions::default(), true, &mut |record: Record| {
        records.push((record.location, serde_json::Value::Object(record.fields).to_string()));
        Ok(())
    })?;
    Ok(records)
}

#[test]
fn records_come_whole_and_with_their_line_packed_or_not() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let expected = |lines: [u64; 2]| {
        let texts = [r#"{"b":"1","a":"x, \"y\""}"#, r#"{"b":"2","a":"z"}"#];
        lines
            .into_iter()
            .zip(texts)
            .map(|(line, text)| (Location::Line(line), text.to_owned()))
            .collect::<Vec<_>>()
    };
    for (name, text, lines) in [
        ("a.jsonl", "{\"b\": \"1\", \"a\": \"x, \\\"y\\\"\"}\n\n{\"b\": \"2\", \"a\": \"z\"}", [1, 3]),
        (
            "a.json",
            "[\n  {\n\"b\": \"1\", \"a\": \"x, \\\"y\\\"\"},\n\n  {\"b\": \"2\",\n \"a\": \"z\"}\n]\n",
            [2, 5],
        ),
        ("b.json", "{\"b\": \"1\",\n\"a\": \"x, \\\"y\\\"\"}\n{\"b\": \"2\", \"a\": \"z\"}", [1, 3]),
        ("a.csv", "b,a\n1,\"x, \"\"y\"\"\"\n2,z\n", [2, 3]),
        ("a.tsv", "b\ta\n1\tx, \"y\"\n2\tz\n", [2, 3]),
    ] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).expect("memory");
        let gzip = gzip.finish().expect("memory");
        assert_eq!(read(folder.path(), name, text.as_bytes()).expect("sound"), expected(lines), "{name}");
        let packed = read(folder.path(), &format!("{name}.gz"), &gzip).expect("sound");
        assert_eq!(packed, expected(lines), "{name}.gz");
    }
}

#[test]
fn what_is_wrong_is_named_by_its_line() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (name, text, told) in [
        ("a.jsonl", "{\"a\": 1}\n{\"a\": }", ":2: broken JSON: expected value at column 7"),
        ("a.jsonl", "{\"a\": 1}\n\"\n", ":2: broken JSON"),
        ("a.json", "[{\"a\": 1},\n\n {\"a\": }]", ":3: broken JSON: expected value"),
        ("a.json", "[{\"a\": 1},\n 7]", ":2: a number, not an object"),
        ("a.json", "[{\"a\": 1},\n {\"a\"", ":2: broken JSON"),
        ("a.csv", "a,b\n1,2\n3\n", ":3: 1 columns, but line 1 has 2"),
        ("a.csv", "a,a\n1,2\n", ":1: columns 1 and 2 are both called `a`"),
        ("a.parquet", "PAR1 no, this is not", ": not a Parquet file"),
    ] {
        let refused = read(folder.path(), name, text.as_bytes()).expect_err(text).to_string();
        assert!(refused.contains(&format!("{name}{told}")), "{text:?}: {refused}");
    }
}

#[test]
fn a_receiver_that_has_enough_is_heard() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("a.json");
    std::fs::write(&path, "[{\"a\": 1}, {\"a\": 2}]").expect("writable");
    let file = Source::new(path).files().expect("there").remove(0);
    let refused = file.records(&ReadOptions::default(), true, &mut |_| Err(crate::Error::Cancelled));
    assert!(matches!(refused, Err(crate::Error::Cancelled)));
}
