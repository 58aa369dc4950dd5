//! Files as a stream. The rows are those that PySpark 4.1.1 gave for these files.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use datafusion::arrow::datatypes::Schema;
use ottla_stream::options::Options;
use ottla_stream::output_mode::OutputMode::Append;
use ottla_stream::test_kit::TestKit;
use ottla_stream::{schema, source};
use tempfile::{TempDir, tempdir};

/// A folder with files, and a query over it.
struct Files {
    folder: TempDir,
    checkpoint: TempDir,
}

type Batches = Result<Vec<Vec<String>>, String>;

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let new = Files { folder: tempdir().unwrap(), checkpoint: tempdir().unwrap() };
        files.iter().for_each(|(name, text)| new.write(name, text));
        new
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sets when a file was changed last.
    fn touch(&self, name: &str, second: u64) {
        let file = fs::File::options().write(true).open(self.folder.path().join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
    }

    async fn run(&self, format: &str, columns: Option<&str>, options: &[(&str, &str)]) -> Batches {
        self.run_at(&self.path("in"), format, columns, options, self.checkpoint.path()).await
    }

    async fn run_at(
        &self,
        path: &str,
        format: &str,
        columns: Option<&str>,
        options: &[(&str, &str)],
        checkpoint: &Path,
    ) -> Batches {
        let schema =
            columns.map(|columns| Arc::new(Schema::new(schema::parse_columns(columns, "UTC").unwrap())));
        let options = Options::from_iter(options.iter().copied().chain([("path", path)]));
        let definition =
            source::define(format, &options, schema, "UTC").map_err(|error| error.to_string())?;
        let mut kit = TestKit::new().unwrap();
        kit.declare("files", definition);
        let rows = kit.run_available_now("SELECT * FROM STREAM files", Append, checkpoint).await;
        rows.map_err(|error| error.to_string())
    }

    /// The rows of one run from the beginning.
    async fn read(&self, format: &str, columns: Option<&str>, options: &[(&str, &str)]) -> Vec<String> {
        self.read_at(&self.path("in"), format, columns, options).await
    }

    async fn read_at(
        &self,
        path: &str,
        format: &str,
        columns: Option<&str>,
        options: &[(&str, &str)],
    ) -> Vec<String> {
        let checkpoint = tempdir().unwrap();
        self.run_at(path, format, columns, options, checkpoint.path()).await.unwrap().concat()
    }
}

const JSON: &str =
    "{\"a\":1,\"b\":\"x\"}\n{\"a\":\"no\"}\nbroken\n\n  \n{\"a\":3,\"c\":9}\r\n[{\"a\":6},{\"a\":7}]\n";

#[tokio::test]
async fn json_that_does_not_fit_is_kept_dropped_or_an_error() {
    let files = Files::new(&[("in/a b.json", JSON), ("in/_hidden.json", "{\"a\":100}")]);
    let columns = Some("a INT, b STRING, _corrupt_record STRING");
    assert_eq!(
        files.read("json", columns, &[]).await,
        [
            r#"{"a":1,"b":"x"}"#,
            r#"{"_corrupt_record":"{\"a\":\"no\"}"}"#,
            r#"{"_corrupt_record":"broken"}"#,
            r#"{"a":3}"#,
            r#"{"a":6}"#,
            r#"{"a":7}"#
        ]
    );
    let dropping = files.read("json", columns, &[("mode", "DROPMALFORMED")]).await;
    assert_eq!(dropping, [r#"{"a":1,"b":"x"}"#, r#"{"a":3}"#, r#"{"a":6}"#, r#"{"a":7}"#]);
    let without = files.read("json", Some("a INT"), &[]).await;
    assert_eq!(without, [r#"{"a":1}"#, "{}", "{}", r#"{"a":3}"#, r#"{"a":6}"#, r#"{"a":7}"#]);
    let error = files.run("json", Some("a INT"), &[("mode", "FAILFAST")]).await.unwrap_err();
    assert!(error.contains("[MALFORMED_RECORD_IN_PARSING") && error.contains("a b.json"), "{error}");
}

#[tokio::test]
async fn json_may_have_several_lines() {
    let files = Files::new(&[("in/m.json", "[{\"a\":1},\n{\"a\":2}]"), ("in/n.json", "{\"a\":\n3}")]);
    let rows = files.read("json", Some("a INT"), &[("multiLine", "true")]).await;
    assert_eq!(rows, [r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]);
}

const CSV: &str = "a,b,c,d\n1,\"x, y\",2.5,2026-01-02\n2,\"q \"\"z\"\"\",x,2026-01-02T03:04:05\n3\n4,5,6,7,8\n\n\
                   5,,\"\",\n7,\"a\\\"b\",1e3,2026-1-2\n8,\"multi\nline\",1,1970-01-01 00:00:00\n";

#[tokio::test]
async fn csv_is_read_as_spark_reads_it() {
    let files = Files::new(&[("in/a.csv", CSV)]);
    let columns = Some("a INT, b STRING, c DOUBLE, d TIMESTAMP, _corrupt_record STRING");
    let good = [
        r#"{"a":1,"b":"x, y","c":2.5,"d":"2026-01-02T00:00:00.000Z"}"#,
        r#"{"a":2,"b":"\"q \"\"z\"\"\"","d":"2026-01-02T03:04:05.000Z","_corrupt_record":"2,\"q \"\"z\"\"\",x,2026-01-02T03:04:05"}"#,
        r#"{"a":3,"_corrupt_record":"3"}"#,
        r#"{"a":4,"b":"5","c":6.0,"_corrupt_record":"4,5,6,7,8"}"#,
        r#"{"a":5}"#,
        r#"{"a":7,"b":"a\"b","c":1000.0,"d":"2026-01-02T00:00:00.000Z"}"#,
    ];
    let rows = files.read("csv", columns, &[("header", "true")]).await;
    assert_eq!(rows[..6], good);
    assert_eq!(
        rows[6..],
        [
            r#"{"a":8,"b":"multi","_corrupt_record":"8,\"multi"}"#,
            r#"{"b":"1","_corrupt_record":"line\",1,1970-01-01 00:00:00"}"#
        ]
    );
    let rows = files.read("csv", columns, &[("header", "true"), ("multiLine", "true")]).await;
    assert_eq!(rows[..6], good);
    assert_eq!(rows[6..], [r#"{"a":8,"b":"multi\nline","c":1.0,"d":"1970-01-01T00:00:00.000Z"}"#]);
    let rows = files.read("csv", columns, &[("header", "true"), ("mode", "DROPMALFORMED")]).await;
    assert_eq!(rows, [good[0], good[4], good[5]]);
    let error = files.run("csv", columns, &[("mode", "FAILFAST")]).await.unwrap_err();
    assert!(error.contains("Malformed records are detected in record parsing: a,b,c,d"), "{error}");
}

#[tokio::test]
async fn csv_values_have_the_types_of_their_columns() {
    let text = "t,1,2,1.5,2026-01-02,1.25\nTRUE,300,9999999999,NaN,2026-1-2,1.255\n\
                yes, 5,+5,Infinity,2026-01-02T00:00:00,abc\nfalse,-1,-,1e5,x,-0.1\n";
    let files = Files::new(&[("in/a.csv", text)]);
    let columns = "a BOOLEAN, b TINYINT, c BIGINT, d FLOAT, e DATE, f DECIMAL(5,2), _corrupt_record STRING";
    assert_eq!(
        files.read("csv", Some(columns), &[]).await,
        [
            r#"{"b":1,"c":2,"d":1.5,"e":"2026-01-02","f":1.25,"_corrupt_record":"t,1,2,1.5,2026-01-02,1.25"}"#,
            r#"{"a":true,"c":9999999999,"d":"NaN","e":"2026-01-02","f":1.26,"_corrupt_record":"TRUE,300,9999999999,NaN,2026-1-2,1.255"}"#,
            r#"{"c":5,"d":"Infinity","e":"2026-01-02","_corrupt_record":"yes, 5,+5,Infinity,2026-01-02T00:00:00,abc"}"#,
            r#"{"a":false,"b":-1,"d":100000.0,"f":-0.10,"_corrupt_record":"false,-1,-,1e5,x,-0.1"}"#,
        ]
    );
}

#[tokio::test]
async fn lines_of_text_are_rows_and_files_may_be() {
    let files = Files::new(&[("in/a.txt", "l1\r\nl2\rl3\n\nlast")]);
    let rows = files.read("text", None, &[]).await;
    assert_eq!(rows, ["l1", "l2", "l3", "", "last"].map(|line| format!("{{\"value\":\"{line}\"}}")));
    let rows = files.read("text", None, &[("wholetext", "true")]).await;
    assert_eq!(rows, [r#"{"value":"l1\r\nl2\rl3\n\nlast"}"#]);
}

#[tokio::test]
async fn folders_are_columns() {
    let files = Files::new(&[
        ("in/p=1/q=x/f.json", "{\"a\":0,\"p\":99}"),
        ("in/p=2/q=y%20z/f.json", "{\"a\":1}"),
        ("in/p=__HIVE_DEFAULT_PARTITION__/q=2026-01-02/f.json", "{\"a\":2}"),
    ]);
    let mut rows = files.read("json", Some("a INT"), &[]).await;
    rows.sort_unstable();
    assert_eq!(
        rows,
        [r#"{"a":0,"p":1,"q":"x"}"#, r#"{"a":1,"p":2,"q":"y z"}"#, r#"{"a":2,"q":"2026-01-02"}"#]
    );
    let rows = files.read("json", Some("p STRING, a INT, q STRING"), &[("maxFilesPerTrigger", "1")]).await;
    assert!(rows.contains(&r#"{"a":0,"p":"1","q":"x"}"#.to_owned()), "{rows:?}");
    let one = files.path("in/p=1/*");
    assert_eq!(files.read_at(&one, "json", Some("a INT"), &[]).await, [r#"{"a":0}"#]);
    let flat = files.read("json", Some("a INT"), &[("recursiveFileLookup", "true")]).await;
    assert_eq!(flat.len(), 3);
    assert!(!flat[0].contains('p'), "{flat:?}");
}

#[tokio::test]
async fn a_batch_takes_as_many_files_as_it_may_and_logs_them_in_spark_s_bytes() {
    let files = Files::new(&[]);
    for number in 0..12 {
        let name = format!("in/n{number}.json");
        files.write(&name, &format!("{{\"a\":{number}}}"));
        files.touch(&name, 1_700_000_000 + number);
    }
    let batches = files.run("json", Some("a INT"), &[("maxFilesPerTrigger", "1")]).await.unwrap();
    let expected: Vec<_> = (0..12).map(|number| vec![format!("{{\"a\":{number}}}")]).collect();
    assert_eq!(batches, expected);
    let read = |path: &str| fs::read_to_string(files.checkpoint.path().join(path)).unwrap();
    let folder = files.path("in");
    let line = |number: u64| {
        format!(
            "{{\"path\":\"file://{folder}/n{number}.json\",\"timestamp\":{},\"batchId\":{number}}}",
            (1_700_000_000 + number) * 1_000
        )
    };
    assert_eq!(read("sources/0/1"), format!("v1\n{}", line(1)));
    let all: Vec<_> = (0..10).map(line).collect();
    assert_eq!(read("sources/0/9.compact"), format!("v1\n{}", all.join("\n")));
    assert!(read("offsets/5").ends_with("\n{\"logOffset\":5}"));

    // New files alone are read by the next run, and all at once.
    assert_eq!(files.run("json", Some("a INT"), &[]).await.unwrap(), [[""; 0]; 0]);
    files.write("in/new 1.json", "{\"a\":20}");
    files.write("in/new 2.json", "{\"a\":21}");
    let batches = files.run("json", Some("a INT"), &[]).await.unwrap();
    assert_eq!((batches.len(), batches.concat().len()), (1, 2));
    assert!(read("sources/0/12").contains("/new%201.json\""));
}

#[tokio::test]
async fn bytes_and_the_newest_first_are_limits_too() {
    let files = Files::new(&[]);
    for number in 0..4 {
        let name = format!("in/{number}.txt");
        files.write(&name, &format!("{number}\n"));
        files.touch(&name, 1_700_000_000 + number * 1_000_000);
    }
    let sizes = |batches: Batches| -> Vec<usize> { batches.unwrap().iter().map(Vec::len).collect() };
    let checkpoint = tempdir().unwrap();
    let batches = files
        .run_at(&files.path("in"), "text", None, &[("maxBytesPerTrigger", "5")], checkpoint.path())
        .await;
    assert_eq!(sizes(batches), [2, 2]);
    let checkpoint = tempdir().unwrap();
    let batches = files
        .run_at(&files.path("in"), "text", None, &[("maxBytesPerTrigger", "1")], checkpoint.path())
        .await;
    assert_eq!(sizes(batches), [1, 1, 1, 1]);
    let newest = files.read("text", None, &[("latestFirst", "true"), ("maxFilesPerTrigger", "3")]).await;
    assert_eq!(newest[3], r#"{"value":"0"}"#);
    // What is older than the newest by more than the age is not looked at, once a batch has been.
    let age = [("maxFileAge", "20d"), ("maxFilesPerTrigger", "4")];
    assert_eq!(files.run("text", None, &age).await.unwrap().concat().len(), 4);
    files.write("in/old.txt", "old");
    files.touch("in/old.txt", 1_700_000_000);
    files.write("in/late.txt", "late");
    files.touch("in/late.txt", 1_702_000_000);
    assert_eq!(files.run("text", None, &age).await.unwrap(), [[r#"{"value":"late"}"#]]);
}

#[tokio::test]
async fn a_batch_that_runs_again_reads_the_files_that_were_logged() {
    let files = Files::new(&[("in/a.txt", "a"), ("in/b.txt", "b")]);
    assert_eq!(files.run("text", None, &[]).await.unwrap().concat().len(), 2);
    // As if the run had been killed before its commit.
    fs::remove_file(files.checkpoint.path().join("commits/0")).unwrap();
    files.write("in/c.txt", "c");
    let batches = files.run("text", None, &[]).await.unwrap();
    assert_eq!(batches, [vec![r#"{"value":"a"}"#, r#"{"value":"b"}"#], vec![r#"{"value":"c"}"#]]);
    fs::remove_file(files.checkpoint.path().join("commits/1")).unwrap();
    fs::remove_file(files.folder.path().join("in/c.txt")).unwrap();
    let error = files.run("text", None, &[]).await.unwrap_err();
    assert!(error.contains("c.txt, which batch 1 reads, cannot be read"), "{error}");
    assert_eq!(files.run("text", None, &[("ignoreMissingFiles", "true")]).await.unwrap(), [[""; 0]]);
}

#[tokio::test]
async fn files_whose_batch_is_done_are_deleted_or_archived() {
    let files = Files::new(&[("in/a.txt", "a"), ("in/sub=1/b.txt", "b")]);
    let archive = files.path("done");
    let options = [("cleanSource", "archive"), ("sourceArchiveDir", archive.as_str())];
    assert_eq!(files.run("text", None, &options).await.unwrap().concat().len(), 2);
    assert!(!Path::new(&files.path("in/a.txt")).exists());
    let whole = files.path("in/sub=1/b.txt");
    assert_eq!(fs::read_to_string(format!("{archive}{whole}")).unwrap(), "b");
    files.write("in/c.txt", "c");
    assert_eq!(files.run("text", None, &[("cleanSource", "delete")]).await.unwrap().concat().len(), 1);
    assert!(!Path::new(&files.path("in/c.txt")).exists());
}

#[tokio::test]
async fn what_a_file_sink_has_written_is_read_by_its_log() {
    let files = Files::new(&[("in/part-0.txt", "counts"), ("in/part-1.txt", "does not")]);
    let line = format!(
        "v1\n{{\"path\":\"file://{}\",\"size\":6,\"isDir\":false,\"modificationTime\":1,\"blockReplication\":1,\
         \"blockSize\":1,\"action\":\"add\"}}",
        files.path("in/part-0.txt")
    );
    files.write("in/_spark_metadata/0", &line);
    assert_eq!(files.read("text", None, &[]).await, [r#"{"value":"counts"}"#]);
}

#[tokio::test]
async fn a_source_that_cannot_be_is_refused_in_spark_s_words() {
    let files = Files::new(&[("in/a.txt", "a")]);
    for (path, format, columns, message) in [
        ("in", "json", None, "Schema must be specified when creating a streaming source DataFrame."),
        ("nowhere", "text", None, "[PATH_NOT_FOUND] Path does not exist: "),
        (
            "in",
            "text",
            Some("a STRING, b STRING"),
            "Text data source supports only a single column, and you have 2",
        ),
        ("in", "csv", Some("a ARRAY<INT>"), "The csv source cannot read the column `a`"),
    ] {
        let checkpoint = tempdir().unwrap();
        let error =
            files.run_at(&files.path(path), format, columns, &[], checkpoint.path()).await.unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
}
