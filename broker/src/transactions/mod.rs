//! Transactions: who writes under which transactional id, and how far each transaction has come.
//!
//! The middle is pure. A [`transaction::Transaction`] is where one transactional id stands; each event, one file each
//! (`init`, `add`, `end`), answers what is to stand in the log next, and takes effect when it does. At the edge,
//! [`coordinator`] serves all ids, each behind its lock, and ends what is overdue; [`state_topic`] is `__transaction_state`, and
//! [`markers`] ends a transaction in the partitions that it wrote to.

mod add;
pub(crate) mod admission;
mod checks;
pub(crate) mod coordinator;
pub(crate) mod end;
mod ids;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod markers;
pub(crate) mod partition_set;
pub(crate) mod record;
pub(crate) mod state_log;
pub(crate) mod state_topic;
pub(crate) mod transaction;
mod upkeep;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
