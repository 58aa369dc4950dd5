use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ottla_storage::{Log, LogConfig, OpenError, TopicPartition, kafka_uuid};
use uuid::Uuid;

use crate::topics::TopicWriteError;

pub(crate) struct DataDir {
    path: PathBuf,
    last_producer_id: i64,
}

impl DataDir {
    pub(crate) fn open(path: PathBuf) -> std::io::Result<DataDir> {
        std::fs::create_dir_all(&path)?;
        Ok(DataDir { path, last_producer_id: -1 })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        _: &BTreeMap<String, String>,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<(Uuid, Vec<Log>), OpenError> {
        let id = kafka_uuid::random();
        let logs = (0..partitions).map(|partition| self.create_log(name, id, partition, config, now_ms));
        Ok((id, logs.collect::<Result<_, _>>()?))
    }

    fn create_log(
        &self,
        name: &str,
        id: Uuid,
        partition: i32,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<Log, OpenError> {
        let dir = self.path.join(format!("{name}-{partition}"));
        Log::create(dir, TopicPartition { topic: name.to_owned(), partition }, id, config.clone(), now_ms)
    }

    pub(crate) fn delete_topic(&mut self, _: &str, _: Uuid) -> Result<(), TopicWriteError> {
        Ok(())
    }

    pub(crate) fn add_partitions(
        &mut self,
        name: &str,
        id: Uuid,
        added: Range<i32>,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<Vec<Log>, TopicWriteError> {
        Ok(added
            .map(|partition| self.create_log(name, id, partition, config, now_ms))
            .collect::<Result<_, _>>()?)
    }

    pub(crate) fn set_topic_configs(
        &mut self,
        _: Uuid,
        _: &BTreeMap<String, String>,
    ) -> Result<(), TopicWriteError> {
        Ok(())
    }

    pub(crate) fn new_producer_id(&mut self) -> Result<i64, TopicWriteError> {
        self.last_producer_id += 1;
        Ok(self.last_producer_id)
    }
}
