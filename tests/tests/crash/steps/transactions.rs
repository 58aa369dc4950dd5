//! Transactions of several partitions and a group's offsets.

use std::time::Duration;

use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    EndTxnRequest, GroupId, InitProducerIdRequest, ProducerId, TransactionalId, TxnOffsetCommitRequest,
};
use ottla_protocol::{Compression, ErrorCode};

use super::{encode, let_pass, produce_request, text, topic_name, values};
use crate::life::{Answer, Life};
use crate::model::{BatchModel, Model, OffsetKey, Outcome, Sequence, Transaction, TransactionalModel};
use crate::random::Random;

const TRANSACTIONAL_IDS: usize = 3;
const TIMEOUT_MS: i32 = 60_000;
const ATTEMPTS: usize = 1_000;

/// One whole transaction, if nothing comes in between.
pub(super) async fn transact(life: &mut Life, model: &mut Model, random: &mut Random) {
    let partitions = model.uncompacted();
    if partitions.is_empty() {
        return;
    }
    let Some((at, mut producer)) = begin(life, model, random).await else { return };
    let number = model.transactions.len();
    model.transactions.push(Transaction { outcome: Outcome::Aborted, offsets: Vec::new() });
    for _ in 0..1 + random.below(3) {
        let (topic, partition) = random.choose(&partitions).expect("some partition");
        if producer.send(life, model, random, number, (topic, *partition)).await.is_none() {
            return;
        }
    }
    if random.below(2) == 0 {
        let (topic, partition) = random.choose(&partitions).expect("some partition");
        let key = (format!("transactional-group-{}", random.below(2)), topic.clone(), *partition);
        let offset = random.below(1_000) as i64;
        if producer.commit_offset(life, &key, offset).await.is_none() {
            return;
        }
        model.transactions[number].offsets.push((key, offset));
    }
    let commits = random.below(3) > 0;
    if commits {
        model.transactions[number].outcome = Outcome::Doubtful;
    }
    if let Some(identity) = producer.end(life, commits).await {
        model.transactional[at].identity = Some(identity);
        if commits {
            conclude(model, number);
        }
    }
}

/// What a committed transaction brings about.
pub(crate) fn conclude(model: &mut Model, number: usize) {
    let transaction = &mut model.transactions[number];
    transaction.outcome = Outcome::Committed;
    for (key, offset) in &transaction.offsets {
        // Of a topic that is gone, nothing is kept.
        if model.topics.contains_key(&key.1) {
            model.offsets.entry(key.clone()).or_default().committed = Some(*offset);
        }
    }
}

/// Asks for an identity until no earlier transaction stands in the way, which is then decided. Without the space to
/// decide it, that would take for ever.
pub(crate) async fn init(life: &mut Life, transactional_id: &str) -> Result<(i64, i16), Option<ErrorCode>> {
    let mut attempts = 0;
    loop {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(transactional_id))))
            .with_transaction_timeout_ms(TIMEOUT_MS)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let Answer::Given(response) = life.call(5, request).await else { return Err(None) };
        match ErrorCode::try_from_code(response.error_code) {
            None => return Ok((response.producer_id.0, response.producer_epoch)),
            Some(ErrorCode::ConcurrentTransactions) if attempts < ATTEMPTS => {
                attempts += 1;
                let_pass(life, Duration::from_millis(100)).await;
            }
            error => {
                life.refused("an identity", response.error_code);
                return Err(error);
            }
        }
    }
}

struct Producer {
    transactional_id: String,
    id: i64,
    epoch: i16,
    /// By topic and partition; an epoch is new for each transaction.
    sent: Vec<((String, i32), i32)>,
}

/// Its identity is put back when the transaction has ended well.
async fn begin(life: &mut Life, model: &mut Model, random: &mut Random) -> Option<(usize, Producer)> {
    let at = random.below(TRANSACTIONAL_IDS);
    while model.transactional.len() <= at {
        let id = format!("transactional-{}", model.transactional.len());
        model.transactional.push(TransactionalModel { id, identity: None });
    }
    let transactional_id = model.transactional[at].id.clone();
    let identity = match model.transactional[at].identity.take() {
        Some(identity) => identity,
        None => init(life, &transactional_id).await.ok()?,
    };
    Some((at, Producer { transactional_id, id: identity.0, epoch: identity.1, sent: Vec::new() }))
}

impl Producer {
    async fn send(
        &mut self,
        life: &mut Life,
        model: &mut Model,
        random: &mut Random,
        transaction: usize,
        (topic, partition): (&str, i32),
    ) -> Option<()> {
        let values = values(model, random);
        let base_sequence = self.next_sequence(topic, partition, values.len() as i32);
        let producer = Sequence { producer_id: self.id, producer_epoch: self.epoch, base_sequence };
        let known = model.partition(topic, partition);
        let base_offset = known.end_offset();
        let batch =
            BatchModel { base_offset, values, producer: Some(producer), transaction: Some(transaction) };
        let bytes = encode(&batch, Compression::None, life.clock.now_ms());
        let request = produce_request(topic, partition, bytes)
            .with_transactional_id(Some(TransactionalId(text(&self.transactional_id))));
        let Answer::Given(response) = life.call(12, request).await else {
            known.doubtful = Some(batch);
            return None;
        };
        let answer = &response.responses[0].partition_responses[0];
        if answer.error_code != 0 {
            life.refused("a transactional batch", answer.error_code);
            return None;
        }
        known.batches.push(BatchModel { base_offset: answer.base_offset, ..batch });
        Some(())
    }

    fn next_sequence(&mut self, topic: &str, partition: i32, count: i32) -> i32 {
        match self.sent.iter_mut().find(|((to, at), _)| to == topic && *at == partition) {
            Some((_, next)) => std::mem::replace(next, *next + count),
            None => {
                self.sent.push(((topic.to_owned(), partition), count));
                0
            }
        }
    }

    async fn commit_offset(&self, life: &mut Life, key: &OffsetKey, offset: i64) -> Option<()> {
        let (group, topic, partition) = key;
        let committed = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(*partition)
            .with_committed_offset(offset);
        let committed = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![committed]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(TransactionalId(text(&self.transactional_id)))
            .with_group_id(GroupId(text(group)))
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_generation_id(-1)
            .with_topics(vec![committed]);
        match life.call(5, request).await {
            Answer::Given(response) if response.topics[0].partitions[0].error_code == 0 => Some(()),
            Answer::Given(response) => {
                life.refused("a transactional commit", response.topics[0].partitions[0].error_code);
                None
            }
            Answer::Unknown => None,
        }
    }

    /// The identity for the next transaction.
    async fn end(&self, life: &mut Life, committed: bool) -> Option<(i64, i16)> {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.transactional_id)))
            .with_producer_id(ProducerId(self.id))
            .with_producer_epoch(self.epoch)
            .with_committed(committed);
        match life.call(5, request).await {
            Answer::Given(response) if response.error_code == 0 => {
                Some((response.producer_id.0, response.producer_epoch))
            }
            Answer::Given(response) => {
                life.refused("the end of a transaction", response.error_code);
                None
            }
            Answer::Unknown => None,
        }
    }
}
