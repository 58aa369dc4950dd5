//! The file sink as a reader of its log sees it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, Date32Array, Decimal128Array, Float64Array, Int32Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::sink::test_batches::{self, Row, batch, broken_batch, context, of, stream_of};

fn sink(format: &'static str, folder: &Path, options: &[(&str, &str)], partition_by: &[&str]) -> FileSink {
    try_sink(format, folder, options, partition_by, test_batches::schema()).unwrap()
}

fn try_sink(
    format: &'static str,
    folder: &Path,
    options: &[(&str, &str)],
    partition_by: &[&str],
    schema: datafusion::arrow::datatypes::SchemaRef,
) -> Result<FileSink, SinkError> {
    let mut context = context(folder, schema);
    context.partition_columns = partition_by.iter().map(|name| (*name).to_owned()).collect();
    let mut options = Options::from_iter(options.iter().copied());
    options.set("path", &folder.display().to_string());
    FileSink::new(format, &options, &context)
}

fn committed(folder: &Path) -> Vec<PathBuf> {
    let files = committed_files(folder).unwrap().unwrap();
    files.iter().map(|file| file.path().unwrap()).collect()
}

fn lines(folder: &Path) -> Vec<String> {
    let text = |path: PathBuf| fs::read_to_string(path).unwrap();
    committed(folder).into_iter().flat_map(|path| lines_of(&text(path))).collect()
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let relative = |path: PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
    committed(folder).into_iter().map(relative).collect()
}

const ROWS: &[Row] = &[("one", 1), ("two", 2), ("three", 3)];

#[tokio::test]
async fn a_batch_that_comes_twice_is_in_the_files_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = sink("json", folder.path(), &[], &[]);
    assert_eq!(first.write_batch(batch(0, &[&ROWS[..1], &ROWS[1..]])).await.unwrap(), 3);
    // As after a kill between the rows and the query's commit: another process, the same batch.
    let mut second = sink("json", folder.path(), &[], &[]);
    assert_eq!(second.write_batch(batch(0, &[ROWS])).await.unwrap(), 0);
    assert_eq!(second.write_batch(batch(1, &[&ROWS[..1]])).await.unwrap(), 1);
    let expected = [
        r#"{"word":"one","n":1}"#,
        r#"{"word":"two","n":2}"#,
        r#"{"word":"three","n":3}"#,
        r#"{"word":"one","n":1}"#,
    ];
    assert_eq!(lines(folder.path()), expected);
    let path = to_uri(folder.path()).replacen("file:///", "file:/", 1);
    assert_eq!(second.description(), format!("FileSink[{path}]"));
}

#[tokio::test]
async fn files_without_a_line_in_the_log_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    // As after a kill between the files and their log.
    sink("csv", folder.path(), &[], &[]).write_batch(batch(0, &[ROWS])).await.unwrap();
    fs::remove_file(folder.path().join(LOG_FOLDER).join("0")).unwrap();
    assert_eq!(committed(folder.path()), Vec::<PathBuf>::new());
    sink("csv", folder.path(), &[], &[]).write_batch(batch(0, &[ROWS])).await.unwrap();
    assert_eq!(lines(folder.path()), ["one,1", "two,2", "three,3"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "two files and the log");
}

#[tokio::test]
async fn a_batch_that_fails_leaves_neither_log_nor_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink("parquet", folder.path(), &[], &[]);
    let error = sink.write_batch(broken_batch(0, ROWS)).await.unwrap_err();
    assert_eq!(error.to_string(), "Execution error: no more rows");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(sink.write_batch(batch(0, &[ROWS])).await.unwrap(), 3);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("word=one");
    fs::write(&path, "").unwrap();
    let mut sink = sink("json", folder.path(), &[], &["word"]);
    let error = sink.write_batch(batch(0, &[ROWS])).await.unwrap_err().to_string();
    assert!(
        error.contains(&path.display().to_string()) && error.contains("start the query again"),
        "{error}"
    );
    fs::remove_file(path).unwrap();
    assert_eq!(sink.write_batch(batch(0, &[ROWS])).await.unwrap(), 3);
}

#[tokio::test]
async fn rows_go_to_the_folders_of_their_partition_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink("json", folder.path(), &[], &["WORD"]);
    sink.write_batch(batch(0, &[&[("a b", 1), ("", 2), ("a b", 3), ("c/d", 4)]])).await.unwrap();
    let names = names(folder.path()).join("\n");
    let separator = std::path::MAIN_SEPARATOR;
    for name in ["word=__HIVE_DEFAULT_PARTITION__", "word=c%2Fd"] {
        assert!(names.contains(&format!("{name}{separator}part-00000-")), "{names}");
    }
    assert!(names.lines().all(|name| name.ends_with(".c000.json")), "{names}");
    assert_eq!(lines(folder.path()), [r#"{"n":2}"#, r#"{"n":1}"#, r#"{"n":3}"#, r#"{"n":4}"#]);
}

#[tokio::test]
async fn more_folders_than_files_may_be_open_lose_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink("json", folder.path(), &[], &["n"]);
    let rows: Vec<Row> = (0..300).chain(0..300).map(|n| ("x", n)).collect();
    assert_eq!(sink.write_batch(batch(0, &[&rows[..300], &rows[300..]])).await.unwrap(), 600);
    assert_eq!(lines(folder.path()), vec![r#"{"word":"x"}"#; 600]);
}

#[tokio::test]
async fn a_full_file_is_followed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink("csv", folder.path(), &[("maxRecordsPerFile", "2"), ("header", "true")], &[]);
    sink.write_batch(batch(0, &[ROWS])).await.unwrap();
    let endings: Vec<_> = names(folder.path()).iter().map(|name| name[name.len() - 9..].to_owned()).collect();
    assert_eq!(endings, ["-c000.csv", "-c001.csv"]);
    assert_eq!(lines(folder.path()), ["word,n", "one,1", "two,2", "word,n", "three,3"]);
}

#[tokio::test]
async fn a_batch_without_rows_has_a_file_for_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink("csv", folder.path(), &[("header", "true")], &[]);
    assert_eq!(sink.write_batch(batch(0, &[&[], &[]])).await.unwrap(), 0);
    assert_eq!((names(folder.path()).len(), lines(folder.path())), (1, vec!["word,n".to_owned()]));
}

#[tokio::test]
async fn compressed_files_say_so_in_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink("json", folder.path(), &[("compression", "gzip")], &[]);
    sink.write_batch(batch(0, &[&ROWS[..1]])).await.unwrap();
    let path = committed(folder.path()).remove(0);
    assert!(path.to_string_lossy().ends_with("-c000.json.gz"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "{\"word\":\"one\",\"n\":1}\n");
}

fn values() -> RecordBatch {
    let decimal = Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).unwrap();
    let ntz = TimestampMicrosecondArray::from(vec![1_372_672_800_500_000]);
    let ts = TimestampMicrosecondArray::from(vec![1_372_665_600_123_456]).with_timezone("Europe/Berlin");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("s", Arc::new(StringArray::from(vec!["three,x"]))),
        ("nul", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("d", Arc::new(Float64Array::from(vec![1.5]))),
        ("i", Arc::new(Int32Array::from(vec![1]))),
        ("ts", Arc::new(ts)),
        ("ntz", Arc::new(ntz)),
        ("dt", Arc::new(Date32Array::from(vec![15_707]))),
        ("e", Arc::new(StringArray::from(vec![""]))),
        ("q", Arc::new(StringArray::from(vec!["a\"b\\c, d"]))),
        ("dec", Arc::new(decimal)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

/// The lines were written by PySpark 4.1.1 in the time zone Europe/Berlin.
#[tokio::test]
async fn every_type_is_written_as_spark_writes_it() {
    for (format, options, expected) in [
        (
            "json",
            &[][..],
            r#"{"s":"three,x","d":1.5,"i":1,"ts":"2013-07-01T10:00:00.123+02:00","ntz":"2013-07-01T10:00:00.500","dt":"2013-01-02","e":"","q":"a\"b\\c, d","dec":1.50}"#,
        ),
        (
            "json",
            &[("ignoreNullFields", "false")],
            r#"{"s":"three,x","nul":null,"d":1.5,"i":1,"ts":"2013-07-01T10:00:00.123+02:00","ntz":"2013-07-01T10:00:00.500","dt":"2013-01-02","e":"","q":"a\"b\\c, d","dec":1.50}"#,
        ),
        (
            "csv",
            &[],
            r#""three,x",,1.5,1,2013-07-01T10:00:00.123+02:00,2013-07-01T10:00:00.500,2013-01-02,"","a\"b\\c, d",1.50"#,
        ),
        (
            "csv",
            &[("sep", ";"), ("quoteAll", "true")],
            r#""three,x";"";"1.5";"1";"2013-07-01T10:00:00.123+02:00";"2013-07-01T10:00:00.500";"2013-01-02";"";"a\"b\\c, d";"1.50""#,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = try_sink(format, folder.path(), options, &[], values().schema()).unwrap();
        sink.write_batch(of(0, values().schema(), vec![stream_of(values())])).await.unwrap();
        assert_eq!(lines(folder.path()), [expected], "{format} {options:?}");
    }
}

#[tokio::test]
async fn parquet_has_the_layouts_that_spark_reads() {
    let folder = tempfile::tempdir().unwrap();
    let counts: ArrayRef = Arc::new(UInt64Array::from(vec![7]));
    let batch = RecordBatch::try_from_iter([("count", counts), ("ts", values().column(4).clone())]).unwrap();
    let mut sink = try_sink("parquet", folder.path(), &[], &[], batch.schema()).unwrap();
    sink.write_batch(of(0, batch.schema(), vec![stream_of(batch)])).await.unwrap();
    let path = committed(folder.path()).remove(0);
    assert!(path.to_string_lossy().ends_with("-c000.snappy.parquet"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    let read = reader.build().unwrap().next().unwrap().unwrap();
    assert_eq!(*read.column(0).data_type(), DataType::Decimal128(20, 0));
    assert_eq!(*read.column(1).data_type(), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    let timestamps = read.column(1).as_primitive::<datafusion::arrow::datatypes::TimestampMicrosecondType>();
    assert_eq!(timestamps.value(0), 1_372_665_600_123_456);
}

#[test]
fn refuses_what_spark_refuses_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |format, options: &[(&str, &str)], partition_by: &[&str]| {
        try_sink(format, folder.path(), options, partition_by, test_batches::schema())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused("text", &[], &[]),
        "[UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE] The Text datasource doesn't support the column `n` of the type \
         \"BIGINT\". SQLSTATE: 0A000"
    );
    assert_eq!(
        refused("json", &[], &["nope"]),
        "Partition column nope not found in existing columns (word, n)."
    );
    let error = refused("parquet", &[("compression", "foo")], &[]);
    assert!(
        error.starts_with("[CODEC_NOT_AVAILABLE.WITH_AVAILABLE_CODECS_SUGGESTION] The codec foo is"),
        "{error}"
    );
    let context = context(folder.path(), test_batches::schema());
    let error = FileSink::new("csv", &Options::default(), &context).unwrap_err();
    assert_eq!(error.to_string(), "'path' is not specified.");
    let error = sink("parquet", folder.path(), &[], &[]).supports(OutputMode::Update).unwrap_err();
    assert_eq!(
        error.to_string(),
        "[STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE] Invalid streaming output mode: update. This output mode is not \
         supported in Data Source parquet. SQLSTATE: 42KDE"
    );
}
