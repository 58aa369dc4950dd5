//! Streams that a test fills, and queries over them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::Session as Catalog;
use datafusion::common::Column;
use datafusion::datasource::ViewTable;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::dialect::SparkSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use parking_lot::Mutex;

use crate::checkpoint::Checkpoint;
use crate::conf::Conf;
use crate::operators::dedup::{self, Remember};
use crate::operators::joins::check_joins;
use crate::operators::time_window::plan_windows;
use crate::operators::watermark::EventTimeWatermark;
use crate::output_mode::{self, OutputMode};
use crate::progress::StreamingQueryProgress;
use crate::session::{Session, Stream, StreamingPlan};
use crate::sink::{JsonLinesSink, Sink, SinkBatch, SinkError};
use crate::source::{
    BatchRead, Connections, LatestOffset, Offset, ReadLimit, Source, SourceContext, SourceDefinition,
    SourceError, StreamTable,
};
use crate::stop;
use crate::trigger::Trigger;
use crate::{Observer, Step, StreamingQuery};

/// Late by at most ten seconds.
const DELAY_MS: i64 = 10_000;

/// `k STRING, ts TIMESTAMP, v INT`; the time in seconds since ten o'clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) k: Option<&'static str>,
    pub(super) second: i64,
    pub(super) v: i32,
}

const TEN_O_CLOCK_US: i64 = 1_714_557_600_000_000;

pub(super) fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("ts", time, true),
        Field::new("v", DataType::Int32, true),
    ]))
}

pub(super) fn batch_of(rows: &[Row]) -> RecordBatch {
    let times = rows.iter().map(|row| TEN_O_CLOCK_US + row.second * 1_000_000);
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(rows.iter().map(|row| row.k).collect::<StringArray>()),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.v))),
        ],
    )
    .unwrap()
}

/// What has been written to a stream so far; an offset is how many pieces that were.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    all: Arc<Mutex<Vec<RecordBatch>>>,
    /// Whether each batch reads one piece, or all that are there.
    pub(super) one_by_one: bool,
}

impl Pieces {
    pub(super) fn put(&self, rows: &[Row]) {
        if !rows.is_empty() {
            self.all.lock().push(batch_of(rows));
        }
    }

    fn end(&self, from: Option<&Offset>) -> Option<Offset> {
        let mut end = self.all.lock().len();
        if self.one_by_one {
            end = end.min(from.map_or(0, place) + 1);
        }
        (end > 0).then(|| Offset(end.to_string()))
    }
}

fn place(offset: &Offset) -> usize {
    offset.0.parse().unwrap()
}

#[async_trait]
impl SourceDefinition for Pieces {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    async fn open(&self, _: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Source for Pieces {
    fn description(&self) -> String {
        "pieces".to_owned()
    }

    fn offset(&self, json: &str) -> Result<Offset, SourceError> {
        Ok(Offset(json.to_owned()))
    }

    async fn initial_offset(&mut self) -> Result<Option<Offset>, SourceError> {
        Ok(None)
    }

    async fn prepare_for_available_now(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    async fn latest_offset(
        &mut self,
        from: Option<&Offset>,
        _: ReadLimit,
    ) -> Result<LatestOffset, SourceError> {
        Ok(LatestOffset { end: self.end(from), available: self.end(from) })
    }

    async fn batch(&mut self, from: Option<&Offset>, to: &Offset) -> Result<Arc<dyn BatchRead>, SourceError> {
        let pieces = self.all.lock()[from.map_or(0, place)..place(to)].to_vec();
        Ok(Arc::new(PiecesRead(pieces)))
    }

    async fn wait_for_data(&mut self, _: Option<&Offset>, _: Duration) -> Result<(), SourceError> {
        Ok(())
    }
}

#[derive(Debug)]
struct PiecesRead(Vec<RecordBatch>);

#[async_trait]
impl BatchRead for PiecesRead {
    async fn scan(&self, _: &dyn Catalog, columns: &[usize]) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        let rows = MemorySourceConfig::try_new_exec(
            std::slice::from_ref(&self.0),
            schema(),
            Some(columns.to_vec()),
        )?;
        Ok(Some(rows))
    }
}

/// A query over the streams `a` and `b`, with watermarks, `c`, which is `b` without one, and the static table `s`;
/// `d` is a stream without duplicates.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) mode: OutputMode,
    pub(super) conf: BTreeMap<String, String>,
    pub(super) dedup: Option<(Vec<String>, Remember, String)>,
    /// Where the run ends, as if it were killed.
    pub(super) crash: Option<(u64, Step)>,
    pub(super) a: Pieces,
    pub(super) b: Pieces,
}

/// What one batch gave out and told.
#[derive(Clone, Debug)]
pub(super) struct BatchOutcome {
    pub(super) id: u64,
    pub(super) rows: Vec<String>,
    pub(super) progress: Option<StreamingQueryProgress>,
}

/// The rows of a query over static tables `a` and `b`, as JSON.
pub(super) async fn rows_of_static(sql: &str, a: &[Row], b: &[Row]) -> Vec<String> {
    let mut conf = Conf::default();
    conf.set("spark.sql.session.timeZone", "UTC").unwrap();
    let context = Session::new(conf).unwrap().context().unwrap();
    for (name, rows) in [("a", a), ("b", b)] {
        let table = MemTable::try_new(schema(), vec![vec![batch_of(rows)]]).unwrap();
        context.register_table(name, Arc::new(table)).unwrap();
    }
    let statement = Parser::parse_sql(&SparkSqlDialect {}, sql).unwrap().remove(0);
    let plan = context.state().statement_to_plan(Statement::Statement(Box::new(statement))).await.unwrap();
    let result = context.execute_logical_plan(plan_windows(plan).unwrap()).await.unwrap();
    let batch = SinkBatch {
        id: 0,
        output_mode: OutputMode::Append,
        schema: Arc::new(result.schema().as_arrow().clone()),
        partitions: vec![result.execute_stream().await.unwrap()],
        end_offsets: Vec::new(),
    };
    let mut lines = Vec::new();
    JsonLinesSink::new(&mut lines, "UTC".parse().unwrap()).write_batch(batch).await.unwrap();
    String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect()
}

impl Query {
    pub(super) fn new(sql: &str) -> Query {
        Query { sql: sql.to_owned(), ..Query::default() }
    }

    /// Runs all that is there, from where the checkpoint says.
    pub(super) async fn run(&self, checkpoint: &Path) -> Vec<BatchOutcome> {
        let plan = self.plan().await.unwrap();
        let seen = Seen { crash: self.crash, ..Seen::default() };
        let connections = Arc::new(Connections::new(|_| {}));
        let checkpoint = Checkpoint::open(checkpoint).unwrap();
        let (sink, observer) = (Box::new(seen.clone()), Box::new(seen.clone()));
        let query = StreamingQuery::new(plan, connections, checkpoint, sink, Trigger::AvailableNow, observer);
        let (_stopper, stop) = stop::channel();
        let ended = query.run(stop).await;
        assert_eq!(ended.is_err(), self.crash.is_some(), "{ended:?}");
        std::mem::take(&mut *seen.outcomes.lock())
    }

    pub(super) async fn plan(&self) -> Result<StreamingPlan, Box<dyn std::error::Error>> {
        let mut conf = Conf::default();
        conf.set("spark.sql.session.timeZone", "UTC")?;
        for (key, value) in &self.conf {
            conf.set(key, value)?;
        }
        let context = Session::new(conf.clone())?.context()?;
        let mut streams = Vec::new();
        register(&context, "s", Vec::new(), &self.b).await?;
        streams.extend(register(&context, "a", vec![DELAY_MS], &self.a).await?);
        for (name, delay) in [("b", vec![DELAY_MS]), ("c", Vec::new())] {
            if self.reads(name) {
                streams.extend(register(&context, name, delay, &self.b).await?);
            }
        }
        if let Some((columns, remember, stream)) = &self.dedup {
            let input = context.table(stream).await?.into_unoptimized_plan();
            let columns: Vec<_> = columns.iter().map(Column::new_unqualified).collect();
            let plan = dedup::plan(input, &columns, *remember)?;
            context.register_table("d", Arc::new(ViewTable::new(plan, None)))?;
        }
        if !self.reads("a") {
            streams.remove(0);
        }
        let statement = Parser::parse_sql(&SparkSqlDialect {}, &self.sql)?.remove(0);
        let state = context.state();
        let plan = state.statement_to_plan(Statement::Statement(Box::new(statement))).await?;
        let plan = plan_windows(plan)?;
        output_mode::check(&plan, self.mode)?;
        check_joins(&state.optimize(&plan)?)?;
        let names = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
        let time_zone = conf.session_time_zone().parse()?;
        let malformed = Vec::new();
        Ok(StreamingPlan {
            context,
            conf,
            plan,
            streams,
            reads: Vec::new(),
            malformed,
            names,
            output_mode: self.mode,
            time_zone,
        })
    }

    fn reads(&self, stream: &str) -> bool {
        let mut words = self.sql.split(|letter: char| !letter.is_alphanumeric());
        words.any(|word| word == stream) || self.dedup.as_ref().is_some_and(|(_, _, of)| of == stream)
    }
}

async fn register(
    context: &SessionContext,
    name: &str,
    delay_ms: Vec<i64>,
    pieces: &Pieces,
) -> Result<Option<Stream>, Box<dyn std::error::Error>> {
    if name == "s" {
        let rows = "SELECT * FROM (VALUES ('x', 'first'), ('x', 'second'), ('z', 'third'), (NULL, 'fourth')) AS s(k, name)";
        let plan = context.sql(rows).await?.into_unoptimized_plan();
        context.register_table("s", Arc::new(ViewTable::new(plan, None)))?;
        return Ok(None);
    }
    let table = Arc::new(StreamTable::new(schema()));
    let mut plan: LogicalPlan =
        LogicalPlanBuilder::scan(format!("{name} stream"), provider_as_source(table.clone()), None)?
            .build()?;
    for delay_ms in delay_ms {
        plan = EventTimeWatermark::plan(plan, Column::new_unqualified("ts"), delay_ms)?;
    }
    context.register_table(name, Arc::new(ViewTable::new(plan, None)))?;
    Ok(Some(Stream { definition: Arc::new(pieces.clone()), table }))
}

/// Keeps what a query gives out and tells.
#[derive(Clone, Default)]
struct Seen {
    outcomes: Arc<Mutex<Vec<BatchOutcome>>>,
    crash: Option<(u64, Step)>,
}

#[async_trait]
impl Sink for Seen {
    fn description(&self) -> String {
        "seen".to_owned()
    }

    fn supports(&self, _: OutputMode) -> Result<(), SinkError> {
        Ok(())
    }

    async fn write_batch(&mut self, batch: SinkBatch) -> Result<u64, SinkError> {
        let id = batch.id;
        let mut lines = Vec::new();
        let count = JsonLinesSink::new(&mut lines, "UTC".parse().unwrap()).write_batch(batch).await?;
        let rows = String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect();
        self.outcomes.lock().push(BatchOutcome { id, rows, progress: None });
        Ok(count)
    }
}

impl Observer for Seen {
    fn progress(&mut self, progress: &StreamingQueryProgress) {
        let mut outcomes = self.outcomes.lock();
        if let Some(outcome) = outcomes.iter_mut().find(|outcome| outcome.id == progress.batch_id) {
            outcome.progress = Some(progress.clone());
        }
    }

    fn step(&mut self, batch_id: u64, step: Step) -> ControlFlow<()> {
        if self.crash == Some((batch_id, step)) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
