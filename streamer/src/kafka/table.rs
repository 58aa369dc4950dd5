//! A topic as a table that is no stream: each batch reads what is there then. Spark's `KafkaRelation`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::options::BatchOptions;
use super::schema;
use super::source::{KafkaSource, KafkaSourceError};
use super::split::split;
use super::stream::KafkaBatch;
use crate::source::{BatchRead, Connections};

#[derive(Debug)]
pub(crate) struct KafkaTable {
    options: BatchOptions,
    schema: SchemaRef,
    connections: Connections,
}

impl KafkaTable {
    /// No broker is asked before a batch reads it.
    pub(crate) fn new(options: BatchOptions, time_zone: &str) -> KafkaTable {
        let schema = schema::schema(options.source.include_headers, time_zone);
        let connections = Connections::new(|error| tracing::warn!("waiting for a broker ({error})"));
        KafkaTable { options, schema, connections }
    }

    async fn rows(&self) -> Result<KafkaBatch> {
        let servers = &self.options.source.bootstrap_servers;
        let client = self.connections.client(servers).await.map_err(external)?;
        let source = KafkaSource::new(client, self.options.source.clone());
        let ranges = async {
            let from = source.starting_offsets().await?;
            let to = source.offsets_at(&self.options.ending).await?;
            Ok::<_, KafkaSourceError>(split(source.ranges(&from, &to).await?, source.options()))
        };
        let ranges = ranges.await.map_err(external)?;
        Ok(KafkaBatch { source, schema: self.schema.clone(), ranges })
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[async_trait]
impl TableProvider for KafkaTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        match self.rows().await?.scan(session, projection).await? {
            Some(rows) => Ok(rows),
            None => Ok(Arc::new(EmptyExec::new(Arc::new(self.schema.project(projection)?)))),
        }
    }
}
