//! Membership in a consumer group by the classic protocol: join, share the partitions out, keep alive, leave.

mod consumer_protocol;
mod heartbeat;
mod join_group;
mod leave_group;
mod member;
mod range_assignor;
mod sync_group;

pub use consumer_protocol::TopicPartitions;
pub use heartbeat::Membership;
pub use member::{GroupConfig, GroupMember};

pub(crate) use consumer_protocol::decode_assignment;
