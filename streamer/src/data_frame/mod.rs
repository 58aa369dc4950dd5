//! Queries built in Rust, in the shape of Spark's `DataFrame`: columns, conditions and aggregates are Spark SQL.
//!
//! ```no_run
//! use ottla_stream::conf::Conf;
//! use ottla_stream::output_mode::OutputMode;
//! use ottla_stream::trigger::Trigger;
//! use ottla_stream::Session;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::new(Conf::default())?;
//! let query = session
//!     .read_stream()
//!     .format("kafka")
//!     .option("kafka.bootstrap.servers", "localhost:9092")
//!     .option("subscribe", "clicks")
//!     .load()?
//!     .with_watermark("timestamp", "10 seconds")
//!     .group_by(["window(timestamp, '1 minute')", "CAST(key AS STRING) AS user"])
//!     .agg(["count(*) AS clicks"])
//!     .write_stream()
//!     .format("console")
//!     .output_mode(OutputMode::Append)
//!     .trigger(Trigger::AvailableNow)
//!     .option("checkpointLocation", "./cp")
//!     .start()?;
//! query.await_termination().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A step that is wrong is told when the query starts, as the first error.

mod grouped;
mod handle;
mod reader;
mod writer;

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};

use crate::operators::dedup::{self, Remember};
use crate::operators::watermark::EventTimeWatermark;
use crate::session::{Frame, QueryError, Session};
use crate::sql::{self, SqlError, StatementKind};

pub use grouped::GroupedData;
pub use handle::{StreamingQueryHandle, StreamingQueryStatus};
pub use reader::DataStreamReader;
pub use writer::{DataStreamWriter, StartError};

/// Rows to be, with columns. Nothing is read before a query starts.
#[derive(Clone)]
pub struct DataFrame {
    session: Shared,
    frame: Result<Frame, Arc<QueryError>>,
}

/// What a frame takes along of its session.
#[derive(Clone)]
struct Shared {
    tables: Arc<std::sync::OnceLock<datafusion::execution::context::SessionContext>>,
}

/// How two frames are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinType {
    Inner,
    LeftOuter,
    RightOuter,
    FullOuter,
    LeftSemi,
    LeftAnti,
}

impl JoinType {
    fn sql(self) -> &'static str {
        match self {
            JoinType::Inner => "INNER JOIN",
            JoinType::LeftOuter => "LEFT JOIN",
            JoinType::RightOuter => "RIGHT JOIN",
            JoinType::FullOuter => "FULL JOIN",
            JoinType::LeftSemi => "LEFT SEMI JOIN",
            JoinType::LeftAnti => "LEFT ANTI JOIN",
        }
    }
}

impl Session {
    pub fn read_stream(&self) -> DataStreamReader<'_> {
        DataStreamReader::new(self)
    }

    /// Runs statements that declare tables and views, and returns the rows of the one query among them.
    pub async fn sql(&mut self, text: &str) -> Result<DataFrame, QueryError> {
        let mut frame = None;
        let statements = sql::parse_job(text)?;
        let queries = statements.iter().filter(|s| matches!(s.kind, StatementKind::Query(_))).count();
        if queries != 1 {
            return Err(SqlError::NotOneQuery(queries).into());
        }
        for statement in statements {
            match statement.kind {
                StatementKind::Set { key, value } => self.set(&key, &value)?,
                StatementKind::CreateTable(table) => self.catalog.declare_table(table, statement.position)?,
                StatementKind::CreateView(view) => self.catalog.declare_view(view, statement.position)?,
                StatementKind::Query(query) => {
                    frame = Some(self.query_frame(&query, &crate::options::Options::default())?);
                }
                StatementKind::CreateStreamingTable { .. } | StatementKind::Flow(_) => {
                    return Err(SqlError::NotServed("a streaming table in Session::sql".to_owned()).into());
                }
            }
        }
        let frame = frame.ok_or(SqlError::NoQuery)?;
        Ok(DataFrame::new(self, frame))
    }
}

impl DataFrame {
    fn new(session: &Session, frame: Frame) -> DataFrame {
        DataFrame { session: Shared { tables: session.tables.clone() }, frame: Ok(frame) }
    }

    /// The columns as they were named.
    pub fn columns(&self) -> Result<Vec<String>, Arc<QueryError>> {
        self.frame.as_ref().map(|frame| frame.names.clone()).map_err(Arc::clone)
    }

    /// Columns as SQL, such as `value AS v` or `explode(xs)`.
    pub fn select(&self, columns: impl IntoIterator<Item = impl AsRef<str>>) -> DataFrame {
        let columns: Vec<_> = columns.into_iter().map(|column| column.as_ref().to_owned()).collect();
        self.query(&format!("SELECT {} FROM frame", columns.join(", ")))
    }

    /// [`DataFrame::select`] under Spark's other name.
    pub fn select_expr(&self, columns: impl IntoIterator<Item = impl AsRef<str>>) -> DataFrame {
        self.select(columns)
    }

    /// Rows for which the condition, as SQL, is true.
    pub fn filter(&self, condition: &str) -> DataFrame {
        self.query(&format!("SELECT * FROM frame WHERE {condition}"))
    }

    /// [`DataFrame::select`] with DataFusion's expressions.
    pub fn select_exprs(&self, columns: Vec<Expr>) -> DataFrame {
        self.step(|frame| frame.with_plan(|plan| LogicalPlanBuilder::from(plan).project(columns)?.build()))
    }

    /// [`DataFrame::filter`] with an expression of DataFusion's.
    pub fn filter_expr(&self, condition: Expr) -> DataFrame {
        self.step(|frame| frame.with_plan(|plan| LogicalPlanBuilder::from(plan).filter(condition)?.build()))
    }

    /// One more column, or another in place of that of the same name.
    pub fn with_column(&self, name: &str, expr: &str) -> DataFrame {
        let named = format!("{expr} AS {}", quoted(name));
        let Ok(columns) = self.columns() else {
            return self.clone();
        };
        let mut replaced = false;
        let mut columns: Vec<_> = columns
            .iter()
            .map(|column| {
                let same = column.eq_ignore_ascii_case(name);
                replaced |= same;
                if same { named.clone() } else { quoted(column) }
            })
            .collect();
        if !replaced {
            columns.push(named);
        }
        self.select(columns)
    }

    /// A watermark behind the latest event time; `delay` is such as `10 seconds`.
    pub fn with_watermark(&self, column: &str, delay: &str) -> DataFrame {
        self.step(|frame| {
            let delay_ms = sql::parse_delay(delay)?;
            let column = Column::from_qualified_name(column.to_lowercase());
            frame.with_plan(|plan| EventTimeWatermark::plan(plan, column, delay_ms))
        })
    }

    /// Another name for the frame, by which conditions of a join tell its columns from others.
    pub fn alias(&self, name: &str) -> DataFrame {
        let name = name.to_lowercase();
        self.step(|frame| frame.with_plan(|plan| LogicalPlanBuilder::from(plan).alias(name)?.build()))
    }

    pub fn group_by(&self, columns: impl IntoIterator<Item = impl AsRef<str>>) -> GroupedData {
        GroupedData::new(self.clone(), columns.into_iter().map(|column| column.as_ref().to_owned()).collect())
    }

    /// Pairs of rows for which the condition, as SQL, is true.
    pub fn join(&self, other: &DataFrame, condition: &str, join_type: JoinType) -> DataFrame {
        let text = format!("SELECT * FROM frame {} other ON {condition}", join_type.sql());
        self.step(|frame| {
            let other = match &other.frame {
                Ok(other) => other,
                Err(error) => return Err(QueryError::Step(error.clone())),
            };
            Frame::select(&text, &[("frame", &frame), ("other", other)])
        })
    }

    /// The rows of both, whose columns are taken in their order.
    pub fn union(&self, other: &DataFrame) -> DataFrame {
        self.step(|frame| match &other.frame {
            Ok(other) => Frame::select(
                "SELECT * FROM frame UNION ALL SELECT * FROM other",
                &[("frame", &frame), ("other", other)],
            ),
            Err(error) => Err(QueryError::Step(error.clone())),
        })
    }

    /// The first row of each key; what is remembered for it goes with the watermark, if a column of the key has one.
    pub fn drop_duplicates(&self, columns: impl IntoIterator<Item = impl AsRef<str>>) -> DataFrame {
        self.deduplicate(columns, Remember::Always)
    }

    /// The first row of each key, which is remembered as long as the watermark's delay.
    pub fn drop_duplicates_within_watermark(
        &self,
        columns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> DataFrame {
        self.deduplicate(columns, Remember::WithinWatermark)
    }

    pub fn write_stream(&self) -> DataStreamWriter {
        DataStreamWriter::new(self.clone())
    }

    fn deduplicate(
        &self,
        columns: impl IntoIterator<Item = impl AsRef<str>>,
        remember: Remember,
    ) -> DataFrame {
        let columns = columns.into_iter().map(|column| Column::from_name(column.as_ref().to_lowercase()));
        let columns: Vec<_> = columns.collect();
        self.step(|frame| frame.with_plan(|plan| dedup::plan(plan, &columns, remember)))
    }

    fn query(&self, text: &str) -> DataFrame {
        self.step(|frame| Frame::select(text, &[("frame", &frame)]))
    }

    /// The first error stays.
    fn step(&self, step: impl FnOnce(Frame) -> Result<Frame, QueryError>) -> DataFrame {
        let frame = match &self.frame {
            Ok(frame) => step(frame.clone()).map_err(|error| match error {
                QueryError::Step(earlier) => earlier,
                error => Arc::new(error),
            }),
            Err(error) => Err(error.clone()),
        };
        DataFrame { session: self.session.clone(), frame }
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
