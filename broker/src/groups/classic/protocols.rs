//! Which protocol the members agree on, and what they subscribe to.

use std::collections::BTreeSet;

use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;

use super::ClassicGroup;
use crate::groups::subscription::subscribed_topics;

impl ClassicGroup {
    /// Whether somebody who speaks `protocols` fits into the group: all members must have one protocol in common.
    pub(super) fn supports(&self, protocol_type: &StrBytes, protocols: &[JoinGroupRequestProtocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let is_common = |name| self.members.values().all(|member| member.supports(name));
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|protocol| is_common(&protocol.name))
    }

    /// The protocol that most members prefer among those that all of them speak. The leader's order decides a tie.
    /// `None` if they have none in common, which [`ClassicGroup::supports`] prevents.
    pub(super) fn select_protocol(&self) -> Option<StrBytes> {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        let is_common = |name: &StrBytes| self.members.values().all(|member| member.supports(name));
        let candidates: Vec<StrBytes> =
            leader.protocols.iter().map(|protocol| protocol.name.clone()).filter(is_common).collect();
        let votes = |name: &StrBytes| {
            self.members.values().filter(|member| member.vote(&candidates) == Some(name)).count()
        };
        // `max_by_key` takes the last of equals, and the leader's favourite comes first.
        candidates.iter().rev().max_by_key(|name| votes(name)).cloned()
    }

    /// The union of the members' subscriptions, for consumers whose every subscription can be read.
    pub(super) fn compute_subscribed_topics(&self) -> Option<BTreeSet<TopicName>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let Some(protocol) = &self.protocol_name else {
            return self.members.is_empty().then(BTreeSet::new);
        };
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscribed_topics(member.metadata(protocol)).ok()?);
        }
        Some(topics)
    }
}
