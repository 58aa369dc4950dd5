//! ListTransactions: which transactional ids there are, by state, producer, age and name.

use ottla_protocol::messages::list_transactions_response::TransactionState;
use ottla_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse, TransactionalId};
use ottla_protocol::{ErrorCode, StrBytes};
use regex_lite::Regex;

use super::transaction::Transaction;

/// The states by which can be asked; two of them nothing is ever in for long enough to be seen.
const STATE_NAMES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

/// What is asked for; what is not named is not restricted.
pub(crate) struct Filter<'a> {
    request: &'a ListTransactionsRequest,
    pattern: Option<Regex>,
    now_ms: i64,
}

impl<'a> Filter<'a> {
    /// # Errors
    /// INVALID_REGULAR_EXPRESSION.
    pub(crate) fn new(request: &'a ListTransactionsRequest, now_ms: i64) -> Result<Filter<'a>, ErrorCode> {
        let pattern = request.transactional_id_pattern.as_ref().filter(|pattern| !pattern.is_empty());
        // The whole id has to match, as in Java's `matches`.
        let pattern = pattern.map(|pattern| Regex::new(&format!("^(?:{})$", pattern.as_str()))).transpose();
        let pattern = pattern.map_err(|_| ErrorCode::InvalidRegularExpression)?;
        Ok(Filter { request, pattern, now_ms })
    }

    pub(crate) fn admits(&self, id: &TransactionalId, transaction: &Transaction) -> bool {
        let Filter { request, pattern, now_ms } = self;
        let has_state = |name: &StrBytes| name.as_str() == transaction.state_name();
        let is_open_for_longer = |duration_ms: i64| {
            duration_ms < 0 || now_ms.saturating_sub(transaction.start_ms().unwrap_or(-1)) > duration_ms
        };
        (request.producer_id_filters.is_empty()
            || request.producer_id_filters.iter().any(|id| id.0 == transaction.producer.id))
            && (request.state_filters.is_empty() || request.state_filters.iter().any(has_state))
            && is_open_for_longer(request.duration_filter)
            && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
    }

    /// An answer that lists nothing yet, and names the states that there are not.
    pub(crate) fn empty_answer(&self) -> ListTransactionsResponse {
        let is_unknown = |name: &&StrBytes| !STATE_NAMES.contains(&name.as_str());
        let unknown = self.request.state_filters.iter().filter(is_unknown).cloned();
        ListTransactionsResponse::default().with_unknown_state_filters(unknown.collect())
    }
}

pub(crate) fn listed(id: &TransactionalId, transaction: &Transaction) -> TransactionState {
    TransactionState::default()
        .with_transactional_id(id.clone())
        .with_producer_id(transaction.producer.id.into())
        .with_transaction_state(StrBytes::from_static_str(transaction.state_name()))
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::ProducerId;

    use super::*;

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn admits(request: &ListTransactionsRequest) -> bool {
        let transaction = Transaction::new(7, 60_000, 1_000);
        Filter::new(request, 5_000).unwrap().admits(&TransactionalId(text("orders-1")), &transaction)
    }

    #[test]
    fn every_filter_has_to_admit_a_transaction() {
        let all = || ListTransactionsRequest::default().with_duration_filter(-1);
        assert!(admits(&all()));
        assert!(admits(&all().with_state_filters(vec![text("Ongoing"), text("Empty")])));
        assert!(!admits(&all().with_state_filters(vec![text("Ongoing")])));
        assert!(admits(&all().with_producer_id_filters(vec![ProducerId(7)])));
        assert!(!admits(&all().with_producer_id_filters(vec![ProducerId(8)])));
        assert!(admits(&all().with_transactional_id_pattern(Some(text("orders-.*")))));
        assert!(!admits(&all().with_transactional_id_pattern(Some(text("orders")))));
        assert!(admits(&all().with_transactional_id_pattern(Some(text("")))));
    }

    #[test]
    fn what_cannot_be_filtered_by_is_told() {
        let request = ListTransactionsRequest::default().with_state_filters(vec![text("Dead"), text("Busy")]);
        let answer = Filter::new(&request, 0).unwrap().empty_answer();
        assert_eq!(answer.unknown_state_filters, [text("Busy")]);
        let request = ListTransactionsRequest::default().with_transactional_id_pattern(Some(text("(")));
        assert_eq!(Filter::new(&request, 0).err(), Some(ErrorCode::InvalidRegularExpression));
    }
}
