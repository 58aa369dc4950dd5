//! Spark's types where DataFusion takes their names for others.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{self, TimezoneInfo};

/// Timestamps have microseconds, and those with a zone are in the session's.
#[derive(Debug)]
pub(crate) struct SparkTypePlanner {
    pub(crate) time_zone: Arc<str>,
}

impl TypePlanner for SparkTypePlanner {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let zone = match sql_type {
            ast::DataType::Timestamp(None, TimezoneInfo::None) => Some(self.time_zone.clone()),
            ast::DataType::TimestampNtz(_) => None,
            _ => return Ok(None),
        };
        let data_type = DataType::Timestamp(TimeUnit::Microsecond, zone);
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}
