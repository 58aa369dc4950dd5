//! A producer of `transaction.version` 2, as far as the wire goes.

use std::collections::HashMap;

use bytes::Bytes;
use ottla_protocol::messages::{EndTxnRequest, InitProducerIdRequest, ProducerId, TransactionalId};
use ottla_protocol::{Compression, batch::BatchBuilder};

use crate::fixture::produce_request;
use crate::wire::{Wire, text};

#[derive(Clone)]
pub(crate) struct TransactionalProducer {
    pub(crate) name: String,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    /// The next one, by topic.
    pub(crate) sequences: HashMap<String, i32>,
}

pub(crate) fn transactional_id(name: &str) -> TransactionalId {
    TransactionalId(text(name))
}

impl TransactionalProducer {
    pub(crate) async fn init(wire: &mut Wire, name: &str) -> TransactionalProducer {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional_id(name)))
            .with_transaction_timeout_ms(60_000);
        let given = wire.call(5, request).await;
        assert_eq!(given.error_code, 0);
        TransactionalProducer {
            name: name.to_owned(),
            id: given.producer_id.0,
            epoch: given.producer_epoch,
            sequences: HashMap::new(),
        }
    }

    /// Writes one batch to partition 0, and answers the error code.
    pub(crate) async fn write(&mut self, wire: &mut Wire, topic: &str, values: &[&str]) -> i16 {
        let sequence = self.sequences.get(topic).copied().unwrap_or(0);
        let code = self.write_in(wire, 12, topic, sequence, values).await;
        if code == 0 {
            self.sequences.insert(topic.to_owned(), sequence + values.len() as i32);
        }
        code
    }

    pub(crate) async fn write_in(
        &self,
        wire: &mut Wire,
        version: i16,
        topic: &str,
        sequence: i32,
        values: &[&str],
    ) -> i16 {
        let request = produce_request(topic, 0, self.batch(sequence, values));
        let request = request.with_transactional_id(Some(transactional_id(&self.name)));
        wire.call(version, request).await.responses[0].partition_responses[0].error_code
    }

    pub(crate) fn batch(&self, sequence: i32, values: &[&str]) -> Bytes {
        let builder = BatchBuilder::new(Compression::None);
        let mut builder = builder.with_producer(self.id, self.epoch, sequence).transactional();
        for value in values {
            builder.push(ottla_broker::Clock::system().now_ms(), None, Some(value.as_bytes())).unwrap();
        }
        builder.build().unwrap()
    }

    /// Ends the transaction and goes on with the epoch that it is told; answers the error code.
    pub(crate) async fn end(&mut self, wire: &mut Wire, committed: bool) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional_id(&self.name))
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_committed(committed);
        let ended = wire.call(5, request).await;
        if ended.error_code == 0 {
            (self.id, self.epoch) = (ended.producer_id.0, ended.producer_epoch);
            self.sequences.clear();
        }
        ended.error_code
    }
}
