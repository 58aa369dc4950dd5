//! Consumer groups: who is in them, who reads what, and how far they have read.
//!
//! The middle is pure ([`state::Groups`]): an event and its time in, records and answers out. [`classic`] is the group
//! protocol, [`offsets`] the committed offsets, [`record`] what is kept of both. At the edge, [`coordinator`] gives
//! that state its lock, its timer and its waiting requests.

pub(crate) mod classic;
pub(crate) mod coordinator;
pub(crate) mod offsets;
pub(crate) mod offsets_log;
pub(crate) mod offsets_topic;
pub(crate) mod record;
pub(crate) mod state;
pub(crate) mod turn;

#[cfg(test)]
mod driver;
#[cfg(test)]
mod simulation;
mod subscription;

/// What the members of all groups may take together: what they can speak, and what was assigned to them. A member that
/// brings more is answered as one of a group that is full.
pub(crate) const MAX_MEMBERS_BYTES: usize = 64 << 20;

/// A member's id: its client's id or its instance id, and a UUID.
pub(crate) type MemberId = ottla_protocol::StrBytes;
