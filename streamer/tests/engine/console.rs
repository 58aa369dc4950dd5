//! Tables as Spark prints them.

use std::sync::Arc;

use datafusion::arrow::array::Float64Builder;
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int32Array, Int64Array, ListArray, MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use ottla_stream::output_mode::OutputMode;
use ottla_stream::sink::table::TableLimits;
use ottla_stream::sink::{ConsoleSink, JsonLinesSink, Sink, SinkBatch};

/// One value of each type.
fn values() -> RecordBatch {
    let struct_fields: Vec<(Arc<Field>, ArrayRef)> = vec![
        (Arc::new(Field::new("x", DataType::Int32, false)), Arc::new(Int32Array::from(vec![1]))),
        (Arc::new(Field::new("y", DataType::Utf8, true)), Arc::new(StringArray::from(vec![None::<&str>]))),
        (Arc::new(Field::new("z", DataType::Utf8, true)), Arc::new(StringArray::from(vec!["s"]))),
    ];
    let mut map = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1.5);
    map.append(true).unwrap();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None, Some(3)])]);
    let decimal = Decimal128Array::from(vec![150]).with_precision_and_scale(3, 2).unwrap();
    let timestamp = TimestampMicrosecondArray::from(vec![1_372_665_600_123_000]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("b", Arc::new(Int8Array::from(vec![1]))),
        ("d", Arc::new(Float64Array::from(vec![1.5]))),
        ("e", Arc::new(Float64Array::from(vec![1e10]))),
        ("fl", Arc::new(Float32Array::from(vec![1.1]))),
        ("n", Arc::new(Float64Array::from(vec![f64::NAN]))),
        ("t", Arc::new(BooleanArray::from(vec![true]))),
        ("dt", Arc::new(Date32Array::from(vec![15_706]))),
        ("ts", Arc::new(timestamp.clone().with_timezone("Europe/Berlin"))),
        ("ntz", Arc::new(timestamp)),
        ("dec", Arc::new(decimal)),
        ("a", Arc::new(list)),
        ("m", Arc::new(map.finish())),
        ("st", Arc::new(StructArray::from(struct_fields))),
        ("bin", Arc::new(BinaryArray::from_vec(vec![b"ab\0"]))),
        ("s", Arc::new(StringArray::from(vec!["tab\tnl\nend"]))),
        ("nul", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("big", Arc::new(Int64Array::from(vec![123_456_789_012]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

async fn print(mut sink: impl Sink, batch: RecordBatch) {
    let schema = batch.schema();
    let rows = RecordBatchStreamAdapter::new(schema.clone(), stream::iter([Ok(batch)]));
    let batch = SinkBatch {
        id: 7,
        output_mode: OutputMode::Append,
        schema,
        partitions: vec![Box::pin(rows)],
        end_offsets: Vec::new(),
    };
    sink.write_batch(batch).await.unwrap();
}

// Both texts were written by PySpark 4.1.1 in the time zone Europe/Berlin.

#[tokio::test]
async fn every_type_in_a_table() {
    let mut out = Vec::new();
    let limits = TableLimits { rows: 20, cell_chars: None };
    print(ConsoleSink::new(&mut out, limits, "Europe/Berlin".parse().unwrap()), values()).await;
    let expected = "\
-------------------------------------------
Batch: 7
-------------------------------------------
+---+---+------+---+---+----+----------+-----------------------+-----------------------+----+------------+----------+------------+----------+------------+----+------------+
|b  |d  |e     |fl |n  |t   |dt        |ts                     |ntz                    |dec |a           |m         |st          |bin       |s           |nul |big         |
+---+---+------+---+---+----+----------+-----------------------+-----------------------+----+------------+----------+------------+----------+------------+----+------------+
|1  |1.5|1.0E10|1.1|NaN|true|2013-01-01|2013-07-01 10:00:00.123|2013-07-01 08:00:00.123|1.50|[1, NULL, 3]|{k -> 1.5}|{1, NULL, s}|[61 62 00]|tab\\tnl\\nend|NULL|123456789012|
+---+---+------+---+---+----+----------+-----------------------+-----------------------+----+------------+----------+------------+----------+------------+----+------------+

";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[tokio::test]
async fn every_type_in_json() {
    let mut out = Vec::new();
    print(JsonLinesSink::new(&mut out, "Europe/Berlin".parse().unwrap()), values()).await;
    let expected = concat!(
        r#"{"b":1,"d":1.5,"e":1.0E10,"fl":1.1,"n":"NaN","t":true,"dt":"2013-01-01","ts":"2013-07-01T10:00:00.123+02:00","#,
        r#""ntz":"2013-07-01T08:00:00.123","dec":1.50,"a":[1,null,3],"m":{"k":1.5},"st":{"x":1,"z":"s"},"bin":"YWIA","#,
        r#""s":"tab\tnl\nend","big":123456789012}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
