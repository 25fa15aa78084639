//! Columns of Parquet that hold more than one text, or none.

use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::parser::parse_message_type;

use super::*;

fn table(compression: Compression) -> Vec<u8> {
    let schema =
        parse_message_type("message m { required int64 id; optional binary text (UTF8); }").expect("valid");
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties)).expect("ok");
    for group in 0..2 {
        let mut rows = writer.next_row_group().expect("ok");
        let mut ids = rows.next_column().expect("ok").expect("first column");
        ids.typed::<::parquet::data_type::Int64Type>().write_batch(&[1, 2, 3], None, None).expect("ok");
        ids.close().expect("ok");
        let mut texts = rows.next_column().expect("ok").expect("second column");
        let values: Vec<ByteArray> =
            ["one", "three"].map(|text| ByteArray::from(format!("{text} {group}").into_bytes())).into();
        texts.typed::<ByteArrayType>().write_batch(&values, Some(&[1, 0, 1]), None).expect("ok");
        texts.close().expect("ok");
        rows.close().expect("ok");
    }
    writer.close().expect("ok");
    bytes
}

#[test]
fn a_column_is_read_and_nulls_are_passed_over() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())]
    {
        let path = write(folder.path(), "a.parquet", &table(compression));
        assert_eq!(texts(&Source::new(&path)).expect("whole"), ["one 0", "three 0", "one 1", "three 1"]);
        let other = Source { field: "id".to_owned(), ..Source::new(&path) };
        assert!(texts(&other).expect_err("numbers").to_string().contains("one string a row"));
        let missing = Source { field: "body".to_owned(), ..Source::new(&path) };
        assert!(texts(&missing).expect_err("none").to_string().contains("there is `id`, `text`"));
    }
}

/// A table with one column of that type, for which `fill` writes values.
fn column_of(message: &str, fill: impl Fn(&mut SerializedColumnWriter<'_>)) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(message).expect("valid"));
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Default::default()).expect("ok");
    let mut rows = writer.next_row_group().expect("ok");
    let mut column = rows.next_column().expect("ok").expect("a column");
    fill(&mut column);
    column.close().expect("ok");
    rows.close().expect("ok");
    writer.close().expect("ok");
    bytes
}

#[test]
fn lists_are_told_from_texts_and_a_column_of_nulls_is_an_empty_one() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let refusal = |bytes: Vec<u8>, field: &str| {
        let path = write(folder.path(), "a.parquet", &bytes);
        let source = Source { field: field.to_owned(), ..Source::new(path) };
        texts(&source).map_err(|error| error.to_string())
    };
    let strings = |column: &mut SerializedColumnWriter<'_>| {
        let values = ["one", "two"].map(ByteArray::from);
        column.typed::<ByteArrayType>().write_batch(&values, Some(&[3, 3]), Some(&[0, 1])).expect("ok");
    };
    let lists = "message m { optional group text (LIST) { repeated group list { optional binary element (UTF8); } } }";
    for field in ["text", "text.list.element"] {
        let message = refusal(column_of(lists, strings), field).expect_err("no strings");
        assert!(
            message.contains(&format!("column `{field}` holds lists (`text.list.element`)")),
            "{message}"
        );
    }
    let nulls = |column: &mut SerializedColumnWriter<'_>| {
        column.typed::<Int32Type>().write_batch(&[], Some(&[0, 0]), None).expect("ok");
    };
    let void = "message m { optional int32 text (UNKNOWN); }";
    assert_eq!(refusal(column_of(void, nulls), "text"), Ok(Vec::new()));
    let nulls = |column: &mut SerializedColumnWriter<'_>| {
        column.typed::<ByteArrayType>().write_batch(&[], Some(&[0, 0]), None).expect("ok");
    };
    assert_eq!(
        refusal(column_of("message m { optional binary text (UTF8); }", nulls), "text"),
        Ok(Vec::new())
    );
}

#[test]
fn a_damaged_table_never_panics() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let whole = table(Compression::SNAPPY);
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            let path = write(folder.path(), "a.parquet", &damaged);
            let _ = texts(&Source::new(&path));
        }
        let path = write(folder.path(), "a.parquet", &whole[..at]);
        assert!(texts(&Source::new(&path)).is_err(), "cut at {at}");
    }
}
