use ottla_broker::Broker;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, SyncGroupRequest,
};

use crate::fixture::start;
use crate::wire::{Wire, text};

pub(crate) fn group_id(name: &str) -> GroupId {
    GroupId(text(name))
}

fn join_request(group: &str, member_id: &str) -> JoinGroupRequest {
    let range = JoinGroupRequestProtocol::default().with_name(text("range"));
    JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(30_000)
        .with_member_id(text(member_id))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![range])
}

/// Joins as a new member; from v4 on by way of MEMBER_ID_REQUIRED.
async fn join(wire: &mut Wire, version: i16, group: &str) -> JoinGroupResponse {
    let response = wire.call(version, join_request(group, "")).await;
    if version < 4 {
        return response;
    }
    assert_eq!(response.error_code, ErrorCode::MemberIdRequired.code());
    wire.call(version, join_request(group, &response.member_id)).await
}

/// The leader assigns to itself.
fn sync_request(version: i16, group: &str, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(bytes::Bytes::from_static(b"everything"));
    let request = SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment]);
    if version < 5 {
        return request;
    }
    request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")))
}

fn heartbeat_request(group: &str, joined: &JoinGroupResponse) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
}

async fn leave(wire: &mut Wire, version: i16, group: &str, joined: &JoinGroupResponse) -> LeaveGroupResponse {
    let request = LeaveGroupRequest::default().with_group_id(group_id(group));
    let member_id = joined.member_id.clone();
    if version < 3 {
        return wire.call(version, request.with_member_id(member_id)).await;
    }
    let identity = MemberIdentity::default().with_member_id(member_id);
    wire.call(version, request.with_members(vec![identity])).await
}

/// A stable group of one; its consumer's generation is 1.
pub(crate) async fn stable_group(wire: &mut Wire, group: &str) -> JoinGroupResponse {
    let joined = join(wire, 9, group).await;
    let synced = wire.call(5, sync_request(5, group, &joined)).await;
    assert_eq!(synced.error_code, 0);
    joined
}

pub(crate) async fn is_alive(wire: &mut Wire, group: &str, member: &JoinGroupResponse) -> bool {
    wire.call(4, heartbeat_request(group, member)).await.error_code == 0
}

async fn state_of(wire: &mut Wire, group: &str) -> String {
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
    wire.call(5, request).await.groups[0].group_state.to_string()
}

#[tokio::test]
async fn every_version_is_served() {
    let (_broker, mut wire) = start().await;
    for version in 0..=9 {
        let group = format!("g{version}");
        let joined = join(&mut wire, version, &group).await;
        assert_eq!((joined.error_code, joined.generation_id), (0, 1), "JoinGroup v{version}");
        assert_eq!(joined.protocol_name, Some(text("range")), "JoinGroup v{version}");

        let version = version.min(5);
        let synced = wire.call(version, sync_request(version, &group, &joined)).await;
        assert_eq!(
            (synced.error_code, &synced.assignment[..]),
            (0, &b"everything"[..]),
            "SyncGroup v{version}"
        );
        let beaten = wire.call(version.min(4), heartbeat_request(&group, &joined)).await;
        assert_eq!(beaten.error_code, 0, "Heartbeat v{version}");
        let left = leave(&mut wire, version, &group, &joined).await;
        assert_eq!(left.error_code, 0, "LeaveGroup v{version}");
        assert!(left.members.iter().all(|member| member.error_code == 0), "LeaveGroup v{version}");
        let again = leave(&mut wire, version, &group, &joined).await;
        let error = again.members.first().map_or(again.error_code, |member| member.error_code);
        assert_eq!(error, ErrorCode::UnknownMemberId.code(), "LeaveGroup v{version}");
    }
}

#[tokio::test]
async fn a_second_member_waits_for_the_first_to_join_again() {
    let (broker, mut first) = start().await;
    let leader = stable_group(&mut first, "g").await;
    let mut second = Wire::connect(&broker).await;
    let id = second.call(9, join_request("g", "")).await.member_id;
    let waiting = second.send(9, join_request("g", &id)).await;

    // The broker has seen the second member's request once it tells the first about it.
    while first.call(4, heartbeat_request("g", &leader)).await.error_code == 0 {}
    let rejoined = first.call(9, join_request("g", &leader.member_id)).await;
    let joined = second.receive::<JoinGroupRequest>(9, waiting).await;
    assert_eq!((rejoined.generation_id, joined.generation_id), (2, 2));
    assert_eq!((rejoined.members.len(), joined.members.len()), (2, 0));

    let waiting = second.send(4, sync_request(4, "g", &joined)).await;
    first.call(4, sync_request(4, "g", &rejoined)).await;
    assert_eq!(second.receive::<SyncGroupRequest>(4, waiting).await.error_code, 0);
}

/// Each of three groups has three members, which all come at the same time.
#[tokio::test]
async fn three_groups_form_at_once() {
    let (broker, _) = start().await;
    let member = |group: usize| {
        let broker = &broker;
        async move { settle(broker, &format!("g{group}")).await }
    };
    let members = (0..9).map(|at| member(at % 3));
    let generations: Vec<i32> = futures::future::join_all(members).await;
    for group in 0..3 {
        let of_group: Vec<i32> = generations.iter().skip(group).step_by(3).copied().collect();
        assert!(of_group.windows(2).all(|pair| pair[0] == pair[1]), "group {group}: {of_group:?}");
    }
}

/// Lives as a consumer does until its group of three is stable, and answers the generation.
async fn settle(broker: &Broker, group: &str) -> i32 {
    let mut wire = Wire::connect(broker).await;
    let mut member_id = wire.call(9, join_request(group, "")).await.member_id;
    loop {
        let joined = wire.call(9, join_request(group, &member_id)).await;
        if joined.error_code != 0 {
            member_id = joined.member_id;
            continue;
        }
        let synced = wire.call(4, sync_request(4, group, &joined)).await;
        if synced.error_code != 0 {
            continue;
        }
        loop {
            let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
            let described = wire.call(5, request).await.groups.remove(0);
            if described.members.len() == 3 && described.group_state == text("Stable") {
                return joined.generation_id;
            }
            if wire.call(4, heartbeat_request(group, &joined)).await.error_code != 0 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn groups_are_listed_by_state_and_type_and_described() {
    let (_broker, mut wire) = start().await;
    stable_group(&mut wire, "busy").await;
    let left = stable_group(&mut wire, "idle").await;
    leave(&mut wire, 5, "idle", &left).await;

    let all = wire.call(5, ListGroupsRequest::default()).await.groups;
    assert_eq!(all.len(), 2);
    assert!(
        all.iter()
            .all(|group| group.group_type == text("classic") && group.protocol_type == text("consumer"))
    );
    let stable = ListGroupsRequest::default().with_states_filter(vec![text("stable")]);
    let stable = wire.call(5, stable).await.groups;
    assert_eq!(stable.iter().map(|group| group.group_id.as_str()).collect::<Vec<_>>(), ["busy"]);
    let of_type = ListGroupsRequest::default().with_types_filter(vec![text("consumer")]);
    assert!(wire.call(5, of_type).await.groups.is_empty());

    for version in 0..=6 {
        let groups = vec![group_id("busy"), group_id("nobody")];
        let groups = wire.call(version, DescribeGroupsRequest::default().with_groups(groups)).await.groups;
        assert_eq!(groups[0].group_state, text("Stable"), "v{version}");
        assert_eq!(&groups[0].members[0].member_assignment[..], b"everything", "v{version}");
        assert_eq!(groups[0].members[0].client_host, text("/127.0.0.1"), "v{version}");
        assert_eq!(groups[1].group_state, text("Dead"), "v{version}");
        let unknown = if version < 6 { 0 } else { ErrorCode::GroupIdNotFound.code() };
        assert_eq!(groups[1].error_code, unknown, "v{version}");
    }
}

#[tokio::test]
async fn only_an_empty_group_is_deleted() {
    let (_broker, mut wire) = start().await;
    let joined = stable_group(&mut wire, "g").await;
    let delete = |version| (version, DeleteGroupsRequest::default().with_groups_names(vec![group_id("g")]));
    let (version, request) = delete(0);
    assert_eq!(wire.call(version, request).await.results[0].error_code, ErrorCode::NonEmptyGroup.code());
    leave(&mut wire, 5, "g", &joined).await;
    assert_eq!(state_of(&mut wire, "g").await, "Empty");
    let (version, request) = delete(1);
    assert_eq!(wire.call(version, request).await.results[0].error_code, 0);
    let (version, request) = delete(2);
    assert_eq!(wire.call(version, request).await.results[0].error_code, ErrorCode::GroupIdNotFound.code());
}

#[tokio::test]
async fn bad_requests_get_kafkas_errors() {
    let (_broker, mut wire) = start().await;
    let nameless = wire.call(9, join_request("", "")).await;
    assert_eq!(nameless.error_code, ErrorCode::InvalidGroupId.code());
    let hasty = wire.call(9, join_request("g", "").with_session_timeout_ms(5_999)).await;
    assert_eq!(hasty.error_code, ErrorCode::InvalidSessionTimeout.code());
    let stranger = wire.call(9, join_request("g", "somebody")).await;
    assert_eq!(stranger.error_code, ErrorCode::UnknownMemberId.code());
    let mute = wire.call(9, join_request("g", "").with_protocols(Vec::new())).await;
    assert_eq!(mute.error_code, ErrorCode::InconsistentGroupProtocol.code());
    let heartbeat = wire.call(4, heartbeat_request("g", &JoinGroupResponse::default())).await;
    assert_eq!(heartbeat.error_code, ErrorCode::UnknownMemberId.code());
}
