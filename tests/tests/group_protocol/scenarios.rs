//! What is talked about. Each scenario is about a group of its own, and answers the transcript.

use std::pin::Pin;

use ottla_protocol::StrBytes;
use ottla_protocol::messages::{GroupId, TopicName};

use crate::conversation::{Conversation, JOIN_VERSION, SYNC_VERSION, protocols, text};

type Scenario = fn(Conversation) -> Pin<Box<dyn Future<Output = Vec<String>>>>;

pub(crate) const ALL: &[(&str, Scenario)] = &[
    ("one-member", |talk| Box::pin(one_member(talk))),
    ("two-members", |talk| Box::pin(two_members(talk))),
    ("changing-members", |talk| Box::pin(changing_members(talk))),
    ("static-members", |talk| Box::pin(static_members(talk))),
    ("static-leader", |talk| Box::pin(static_leader(talk))),
    ("protocols", |talk| Box::pin(agreeing_on_protocols(talk))),
    ("no-members", |talk| Box::pin(no_members(talk))),
    ("strangers", |talk| Box::pin(strangers(talk))),
    ("bad-requests", |talk| Box::pin(bad_requests(talk))),
];

async fn one_member(mut talk: Conversation) -> Vec<String> {
    talk.join("A").await;
    talk.describe(5).await;
    talk.commit("A").await;
    talk.heartbeat("A").await;
    talk.sync("A", &["A"]).await;
    talk.describe(6).await;
    talk.sync("A", &[]).await;
    talk.heartbeat("A").await;
    talk.heartbeat_with("A", |request| request.generation_id = 0).await;
    talk.sync_with("A", SYNC_VERSION, |request| request.generation_id = 2).await;
    talk.commit("A").await;
    talk.commit_with("A", 9, |request| request.generation_id_or_member_epoch = 2).await;
    talk.commit_with("A", 2, |request| request.retention_time_ms = 3_600_000).await;
    talk.committed(true).await;
    talk.committed(false).await;
    talk.delete_group().await;
    talk.leave("A", |_| {}).await;
    talk.heartbeat("A").await;
    talk.commit("A").await;
    talk.leave("A", |_| {}).await;
    talk.describe(5).await;
    talk.delete_group().await;
    talk.describe(5).await;
    talk.transcript()
}

async fn two_members(mut talk: Conversation) -> Vec<String> {
    stable_with_two(&mut talk).await;
    talk.describe(5).await;
    // A follower that comes again unchanged disturbs nobody.
    talk.join("B").await;
    talk.sync("B", &[]).await;
    talk.heartbeat("A").await;
    // The leader starts a rebalance by coming again.
    talk.begin_join("A", JOIN_VERSION, |_| {}).await;
    talk.until("PreparingRebalance").await;
    talk.heartbeat("B").await;
    talk.commit("B").await;
    talk.sync("B", &[]).await;
    talk.describe(5).await;
    talk.join("B").await;
    talk.end_join("A").await;
    talk.commit("B").await;
    talk.sync("A", &["A"]).await;
    talk.sync("B", &[]).await;
    talk.describe(5).await;
    // The leader goes, and the follower leads.
    talk.leave("A", |_| {}).await;
    talk.heartbeat("B").await;
    talk.join("B").await;
    talk.sync("B", &["B"]).await;
    talk.committed(true).await;
    talk.transcript()
}

async fn changing_members(mut talk: Conversation) -> Vec<String> {
    stable_with_two(&mut talk).await;
    talk.begin_join("B", JOIN_VERSION, |request| request.protocols = protocols(&["range", "sticky"])).await;
    talk.until("PreparingRebalance").await;
    talk.join("A").await;
    talk.end_join("B").await;
    // The same again while the assignment is awaited: the same answer again.
    talk.join("A").await;
    talk.begin_sync("B", SYNC_VERSION, &[], |_| {}).await;
    talk.begin_join("A", JOIN_VERSION, |request| request.protocols = protocols(&["range", "sticky"])).await;
    talk.end_sync("B").await;
    talk.join_with("B", JOIN_VERSION, |request| request.protocols = protocols(&["range", "sticky"])).await;
    talk.end_join("A").await;
    talk.sync("A", &["A", "B"]).await;
    talk.sync("B", &[]).await;
    // An id that has been given out, but not joined with, can leave.
    talk.join_with("C", JOIN_VERSION, |_| {}).await;
    talk.leave("C", |_| {}).await;
    talk.heartbeat("A").await;
    talk.transcript()
}

async fn static_members(mut talk: Conversation) -> Vec<String> {
    let instance = |name: &'static str| Some(text(name));
    talk.join_with("A", JOIN_VERSION, |request| request.group_instance_id = instance("a")).await;
    talk.sync_with("A", SYNC_VERSION, |request| request.group_instance_id = instance("a")).await;
    talk.begin_join("B", JOIN_VERSION, |request| request.group_instance_id = instance("b")).await;
    talk.until("PreparingRebalance").await;
    talk.join_with("A", JOIN_VERSION, |request| request.group_instance_id = instance("a")).await;
    talk.end_join("B").await;
    talk.sync("A", &["A", "B"]).await;
    talk.sync("B", &[]).await;
    // B restarts, and takes over its own place.
    let old_id = talk.member_id("B");
    talk.forget("B").await;
    talk.join_with("B", JOIN_VERSION, |request| request.group_instance_id = instance("b")).await;
    talk.sync_with("B", SYNC_VERSION, |request| request.group_instance_id = instance("b")).await;
    talk.heartbeat("A").await;
    talk.describe(5).await;
    let fenced = |member_id: &mut StrBytes, instance_id: &mut Option<StrBytes>| {
        *member_id = old_id.clone();
        *instance_id = instance("b");
    };
    talk.heartbeat_with("B", |request| fenced(&mut request.member_id, &mut request.group_instance_id)).await;
    talk.heartbeat_with("B", |request| request.member_id = old_id.clone()).await;
    talk.sync_with("B", 4, |request| fenced(&mut request.member_id, &mut request.group_instance_id)).await;
    talk.commit_with("B", 9, |request| fenced(&mut request.member_id, &mut request.group_instance_id)).await;
    talk.join_with("C", JOIN_VERSION, |request| {
        fenced(&mut request.member_id, &mut request.group_instance_id);
    })
    .await;
    talk.leave("B", |identity| fenced(&mut identity.member_id, &mut identity.group_instance_id)).await;
    talk.heartbeat_with("B", |request| request.group_instance_id = instance("nobody")).await;
    // An administrator removes members by their instances.
    for removed in ["nobody", "b", "a"] {
        talk.leave("admin", |identity| {
            identity.member_id = StrBytes::default();
            identity.group_instance_id = instance(removed);
        })
        .await;
    }
    talk.describe(5).await;
    talk.transcript()
}

async fn static_leader(mut talk: Conversation) -> Vec<String> {
    let instance = || Some(text("a"));
    talk.join_with("A", JOIN_VERSION, |request| request.group_instance_id = instance()).await;
    talk.sync("A", &["A"]).await;
    for version in [9, 8, 5] {
        talk.forget("A").await;
        talk.join_with("A", version, |request| request.group_instance_id = instance()).await;
        talk.sync("A", &[]).await;
        talk.describe(5).await;
    }
    // What it speaks changes, so the group has to agree anew.
    talk.forget("A").await;
    talk.join_with("A", JOIN_VERSION, |request| {
        request.group_instance_id = instance();
        request.protocols = protocols(&["sticky"]);
    })
    .await;
    talk.describe(5).await;
    talk.transcript()
}

async fn agreeing_on_protocols(mut talk: Conversation) -> Vec<String> {
    talk.join_with("A", 3, |request| request.protocols = protocols(&["range", "sticky"])).await;
    talk.sync_with("A", SYNC_VERSION, |request| request.protocol_name = Some(text("sticky"))).await;
    talk.sync_with("A", SYNC_VERSION, |request| request.protocol_type = Some(text("connect"))).await;
    talk.sync_with("A", SYNC_VERSION, |request| request.protocol_type = None).await;
    talk.sync("A", &["A"]).await;
    talk.join_with("B", 3, |request| request.protocols = protocols(&["mine"])).await;
    talk.join_with("B", 3, |request| request.protocols = Vec::new()).await;
    talk.join_with("B", 3, |request| request.protocol_type = text("connect")).await;
    talk.begin_join("B", 3, |request| request.protocols = protocols(&["sticky"])).await;
    talk.until("PreparingRebalance").await;
    talk.join_with("A", 3, |request| request.protocols = protocols(&["range", "sticky"])).await;
    talk.end_join("B").await;
    talk.transcript()
}

async fn no_members(mut talk: Conversation) -> Vec<String> {
    talk.committed(true).await;
    talk.committed(false).await;
    talk.commit("A").await;
    talk.describe(5).await;
    talk.committed(true).await;
    talk.commit_with("A", 9, |request| {
        let partition = &mut request.topics[0].partitions[0];
        partition.committed_metadata = Some(text(&"m".repeat(4_097)));
    })
    .await;
    talk.commit_with("A", 9, |request| request.topics[0].name = TopicName(text("nowhere"))).await;
    talk.commit_with("A", 9, |request| request.topics[0].partitions[0].partition_index = 1).await;
    talk.commit_with("A", 9, |request| request.topics[0].partitions[0].committed_metadata = None).await;
    talk.committed(true).await;
    // A member finds what was committed without it; its topic is then protected.
    talk.join("B").await;
    talk.sync("B", &["B"]).await;
    talk.commit("A").await;
    talk.committed(true).await;
    talk.delete_offsets("conversed").await;
    talk.delete_offsets("nowhere").await;
    talk.leave("B", |_| {}).await;
    talk.delete_offsets("conversed").await;
    talk.committed(true).await;
    talk.delete_group().await;
    talk.transcript()
}

async fn strangers(mut talk: Conversation) -> Vec<String> {
    talk.heartbeat("A").await;
    talk.sync("A", &[]).await;
    talk.leave("A", |_| {}).await;
    talk.describe(5).await;
    talk.describe(6).await;
    talk.delete_group().await;
    talk.delete_offsets("conversed").await;
    for version in [8, 9] {
        talk.commit_with("A", version, |request| request.generation_id_or_member_epoch = 1).await;
    }
    talk.join_with("A", JOIN_VERSION, |request| request.member_id = text("somebody")).await;
    talk.join("B").await;
    talk.join_with("A", JOIN_VERSION, |request| request.member_id = text("somebody")).await;
    talk.heartbeat_with("A", |request| request.member_id = text("somebody")).await;
    talk.leave("A", |identity| identity.member_id = text("somebody")).await;
    talk.transcript()
}

async fn bad_requests(mut talk: Conversation) -> Vec<String> {
    let nameless = GroupId(StrBytes::default());
    talk.join_with("A", JOIN_VERSION, |request| request.group_id = nameless.clone()).await;
    talk.sync_with("A", SYNC_VERSION, |request| request.group_id = nameless.clone()).await;
    talk.heartbeat_with("A", |request| request.group_id = nameless.clone()).await;
    for session_timeout_ms in [-1, 0, 5_999, 1_800_001] {
        talk.join_with("A", JOIN_VERSION, |request| request.session_timeout_ms = session_timeout_ms).await;
    }
    talk.join_with("A", JOIN_VERSION, |request| request.protocol_type = StrBytes::default()).await;
    talk.join_with("A", JOIN_VERSION, |request| request.protocols = Vec::new()).await;
    talk.join_with("A", 3, |request| request.protocols = Vec::new()).await;
    talk.describe(5).await;
    talk.transcript()
}

/// A leads, B follows; the generation is 2.
async fn stable_with_two(talk: &mut Conversation) {
    talk.join("A").await;
    talk.sync("A", &["A"]).await;
    talk.join_with("B", JOIN_VERSION, |_| {}).await;
    talk.begin_join("B", JOIN_VERSION, |_| {}).await;
    talk.until("PreparingRebalance").await;
    talk.heartbeat("A").await;
    talk.join("A").await;
    talk.end_join("B").await;
    talk.begin_sync("B", SYNC_VERSION, &[], |_| {}).await;
    talk.sync("A", &["A", "B"]).await;
    talk.end_sync("B").await;
}
