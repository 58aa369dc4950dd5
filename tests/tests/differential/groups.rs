//! The classic group protocol, as those meet it who do not keep to it.

use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest,
};

use crate::both::Both;
use crate::text;

pub(crate) fn group_id(name: &str) -> GroupId {
    GroupId(text(name))
}

pub(crate) async fn ask(both: &mut Both) {
    find_coordinator(both).await;
    join(both).await;
    be_unknown(both).await;
    administer(both).await;
}

async fn find_coordinator(both: &mut Both) {
    for (key, kind) in [("group", 0), ("nothing", 5), ("", 0)] {
        let request =
            FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![text(key)]);
        both.ask(&format!("FindCoordinator: {key:?} of type {kind}"), 4, request, |response| {
            let coordinators = response.coordinators.into_iter();
            (
                response.error_code,
                coordinators.map(|found| (found.error_code, found.port > 0)).collect::<Vec<_>>(),
            )
        })
        .await;
    }
}

fn join_request(group: &str, member_id: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
    JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(text(member_id))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

async fn join(both: &mut Both) {
    for (what, request) in [
        ("a new member", join_request("joined", "")),
        ("an unknown member", join_request("joined", "nobody")),
        ("no group", join_request("", "")),
        ("a session that is too short", join_request("joined", "").with_session_timeout_ms(1)),
        ("a session that is too long", join_request("joined", "").with_session_timeout_ms(i32::MAX)),
        ("no protocols", join_request("joined", "").with_protocols(vec![])),
        ("no protocol type", join_request("joined", "").with_protocol_type(text(""))),
    ] {
        both.ask(&format!("JoinGroup: {what}"), 9, request, |response| {
            (response.error_code, response.generation_id, response.member_id.is_empty())
        })
        .await;
    }
}

async fn be_unknown(both: &mut Both) {
    for group in ["joined", "unknown", ""] {
        let heartbeat = HeartbeatRequest::default().with_group_id(group_id(group)).with_generation_id(1);
        let heartbeat = heartbeat.with_member_id(text("nobody"));
        both.ask(&format!("Heartbeat: group {group:?}"), 4, heartbeat, |response| response.error_code).await;

        let sync = SyncGroupRequest::default().with_group_id(group_id(group)).with_generation_id(1);
        let sync = sync.with_member_id(text("nobody")).with_protocol_type(Some(text("consumer")));
        let sync = sync.with_protocol_name(Some(text("range")));
        both.ask(&format!("SyncGroup: group {group:?}"), 5, sync.clone(), |response| response.error_code)
            .await;
        let sync = sync.with_protocol_name(None);
        both.ask(&format!("SyncGroup: group {group:?}, no protocol"), 5, sync, |response| {
            response.error_code
        })
        .await;

        for instance in [None, Some(text("instance"))] {
            let member = MemberIdentity::default()
                .with_member_id(text("nobody"))
                .with_group_instance_id(instance.clone());
            let leave =
                LeaveGroupRequest::default().with_group_id(group_id(group)).with_members(vec![member]);
            both.ask(&format!("LeaveGroup: group {group:?}, instance {instance:?}"), 5, leave, |response| {
                (
                    response.error_code,
                    response.members.into_iter().map(|member| member.error_code).collect::<Vec<_>>(),
                )
            })
            .await;
        }
    }
}

async fn administer(both: &mut Both) {
    for group in ["unknown", ""] {
        let describe = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        for version in [0, 5, 6] {
            both.ask(
                &format!("DescribeGroups v{version}: {group:?}"),
                version,
                describe.clone(),
                |response| {
                    let groups = response.groups.into_iter();
                    groups.map(|group| (group.error_code, group.group_state.to_string())).collect::<Vec<_>>()
                },
            )
            .await;
        }
        let delete = DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]);
        both.ask(&format!("DeleteGroups: {group:?}"), 2, delete, |response| {
            response.results.into_iter().map(|group| group.error_code).collect::<Vec<_>>()
        })
        .await;
    }
    for state in ["Stable", "NoSuchState"] {
        let list = ListGroupsRequest::default().with_states_filter(vec![text(state)]);
        both.ask(&format!("ListGroups: {state}"), 5, list, |response| {
            (response.error_code, response.groups.len())
        })
        .await;
    }
}
