use ottla_protocol::ErrorCode;
use ottla_protocol::messages::leave_group_request::MemberIdentity;

use crate::groups::MemberId;
use crate::groups::driver::{
    Driver, REBALANCE_TIMEOUT_MS, SESSION_TIMEOUT_MS, config, join_request, protocols, static_request, text,
};
use crate::groups::turn::GroupConfig;

const NONE: i16 = 0;

/// Two dynamic members, stable in generation 2; the first leads.
fn stable_with_two(driver: &mut Driver) -> (MemberId, MemberId) {
    let leader = driver.stable_with_one();
    let (follower, _) = driver.join_new();
    driver.join(join_request(&leader));
    let waiting = driver.sync(&follower, 2, &[]);
    driver.sync(&leader, 2, &[&leader, &follower]);
    assert_eq!(driver.synced(waiting).unwrap().assignment, follower.as_bytes());
    (leader, follower)
}

#[test]
fn a_new_member_is_told_its_id_first() {
    let mut driver = Driver::new(config());
    let ticket = driver.join(join_request(&MemberId::default()));
    let answer = driver.joined(ticket).unwrap();
    assert_eq!(answer.error_code, ErrorCode::MemberIdRequired.code());
    assert!(!answer.member_id.is_empty());
    assert_eq!(driver.state(), "Empty");

    let ticket = driver.join(join_request(&answer.member_id));
    let joined = driver.joined(ticket).unwrap();
    assert_eq!((joined.error_code, joined.generation_id, joined.leader), (NONE, 1, answer.member_id));
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn clients_before_version_4_join_at_once() {
    let mut driver = Driver::new(config());
    let ticket = driver.join_as(join_request(&MemberId::default()), 3);
    assert_eq!(driver.joined(ticket).unwrap().generation_id, 1);
}

#[test]
fn an_id_that_nobody_comes_back_with_is_forgotten() {
    let mut driver = Driver::new(config());
    let ticket = driver.join(join_request(&MemberId::default()));
    let member_id = driver.joined(ticket).unwrap().member_id;
    driver.advance(i64::from(SESSION_TIMEOUT_MS));
    let ticket = driver.join(join_request(&member_id));
    assert_eq!(driver.joined(ticket).unwrap().error_code, ErrorCode::UnknownMemberId.code());
}

#[test]
fn a_second_member_waits_until_the_first_joins_again() {
    let mut driver = Driver::new(config());
    let leader = driver.stable_with_one();
    let (_, waiting) = driver.join_new();
    assert_eq!(driver.joined(waiting), None);
    assert_eq!(driver.heartbeat(&leader, 1), Err(ErrorCode::RebalanceInProgress));
    driver.join(join_request(&leader));
    let joined = driver.joined(waiting).unwrap();
    assert_eq!((joined.generation_id, joined.leader), (2, leader));
    assert!(joined.members.is_empty(), "only the leader is told who is there");
}

#[test]
fn a_member_that_does_not_join_again_is_out_after_the_rebalance_timeout() {
    let mut driver = Driver::new(config());
    let gone = driver.stable_with_one();
    let (member_id, waiting) = driver.join_new();
    for _ in 0..3 {
        driver.advance(i64::from(SESSION_TIMEOUT_MS) - 1);
        let _ = driver.heartbeat(&gone, 1);
    }
    assert_eq!(driver.joined(waiting), None);
    driver.advance(3);
    assert_eq!(driver.joined(waiting).unwrap().leader, member_id);
    assert_eq!(driver.heartbeat(&gone, 1), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_session_without_heartbeats_ends() {
    let mut driver = Driver::new(config());
    let member_id = driver.stable_with_one();
    driver.advance(i64::from(SESSION_TIMEOUT_MS) - 1);
    assert_eq!(driver.heartbeat(&member_id, 1), Ok(()));
    driver.advance(i64::from(SESSION_TIMEOUT_MS) - 1);
    assert_eq!(driver.state(), "Stable");
    driver.advance(1);
    assert_eq!(driver.state(), "Empty");
}

#[test]
fn members_that_do_not_sync_are_out_after_the_rebalance_timeout() {
    let mut driver = Driver::new(config());
    let (leader, _) = driver.join_new();
    let (follower, _) = driver.join_new();
    driver.join(join_request(&leader));
    let waiting = driver.sync(&follower, 2, &[]);
    for _ in 0..i64::from(REBALANCE_TIMEOUT_MS / 5_000) {
        assert_eq!(driver.synced(waiting), None);
        assert_eq!(driver.heartbeat(&leader, 2), Ok(()));
        driver.advance(5_000);
    }
    assert_eq!(driver.synced(waiting).unwrap().error_code, ErrorCode::RebalanceInProgress.code());
    assert_eq!(driver.heartbeat(&leader, 2), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn the_old_generation_is_refused() {
    let mut driver = Driver::new(config());
    let (leader, _) = stable_with_two(&mut driver);
    assert_eq!(driver.heartbeat(&leader, 1), Err(ErrorCode::IllegalGeneration));
    let ticket = driver.sync(&leader, 1, &[]);
    assert_eq!(driver.synced(ticket).unwrap().error_code, ErrorCode::IllegalGeneration.code());
}

#[test]
fn a_follower_that_joins_again_unchanged_disturbs_nobody_but_the_leader_rebalances() {
    let mut driver = Driver::new(config());
    let (leader, follower) = stable_with_two(&mut driver);
    let ticket = driver.join(join_request(&follower));
    assert_eq!(driver.joined(ticket).unwrap().generation_id, 2);
    assert_eq!(driver.state(), "Stable");
    driver.join(join_request(&leader));
    assert_eq!(driver.state(), "PreparingRebalance");
}

#[test]
fn a_sync_that_waits_ends_when_a_member_leaves() {
    let mut driver = Driver::new(config());
    let (leader, _) = driver.join_new();
    let (follower, _) = driver.join_new();
    driver.join(join_request(&leader));
    let waiting = driver.sync(&follower, 2, &[]);
    assert_eq!(driver.leave(MemberIdentity::default().with_member_id(leader)), NONE);
    assert_eq!(driver.synced(waiting).unwrap().error_code, ErrorCode::RebalanceInProgress.code());
    let ticket = driver.join(join_request(&follower));
    assert_eq!(driver.joined(ticket).unwrap().leader, follower);
}

#[test]
fn the_protocol_is_the_one_that_all_speak_and_most_prefer() {
    let mut driver = Driver::new(config());
    for names in [
        &["cooperative-sticky", "range"][..],
        &["range", "cooperative-sticky"],
        &["range", "cooperative-sticky"],
    ] {
        let request = join_request(&MemberId::default()).with_protocols(protocols(names));
        driver.join_as(request, 3);
    }
    let first = text("client-1");
    let ticket =
        driver.join_as(join_request(&first).with_protocols(protocols(&["cooperative-sticky", "range"])), 3);
    assert_eq!(driver.joined(ticket).unwrap().protocol_name, Some(text("range")));
    let stranger = driver.join_as(join_request(&MemberId::default()).with_protocols(protocols(&["mine"])), 3);
    assert_eq!(driver.joined(stranger).unwrap().error_code, ErrorCode::InconsistentGroupProtocol.code());
}

#[test]
fn a_member_that_lists_protocols_without_end_is_refused() {
    let mut driver = Driver::new(config());
    let request = join_request(&MemberId::default()).with_protocols(protocols(&["range"; 101]));
    let ticket = driver.join(request);
    assert_eq!(driver.joined(ticket).unwrap().error_code, ErrorCode::InconsistentGroupProtocol.code());
}

#[test]
fn a_group_takes_no_more_than_its_maximum() {
    let mut driver = Driver::new(GroupConfig { max_size: 1, ..config() });
    let member_id = driver.stable_with_one();
    let ticket = driver.join(join_request(&MemberId::default()));
    assert_eq!(driver.joined(ticket).unwrap().error_code, ErrorCode::GroupMaxSizeReached.code());
    assert_eq!(driver.heartbeat(&member_id, 1), Ok(()));
}

#[test]
fn members_take_no_more_memory_than_all_groups_may() {
    let mut driver = Driver::new(GroupConfig { max_members_bytes: 10_000, ..config() });
    let member_id = driver.stable_with_one();
    let mut large = protocols(&["range"]);
    large[0].metadata = vec![7; 9_900].into();
    for id in [&MemberId::default(), &member_id] {
        let ticket = driver.join(join_request(id).with_protocols(large.clone()));
        assert_eq!(driver.joined(ticket).unwrap().error_code, ErrorCode::GroupMaxSizeReached.code(), "{id}");
    }
    let newcomers = (0..100).map(|_| driver.join(join_request(&MemberId::default()))).collect::<Vec<_>>();
    let refused = newcomers.iter().filter(|ticket| {
        driver.joined(**ticket).unwrap().error_code == ErrorCode::GroupMaxSizeReached.code()
    });
    assert!(refused.count() > 0, "pending members count, too");
    let ticket = driver.join(join_request(&member_id));
    driver.advance(i64::from(SESSION_TIMEOUT_MS) + 1);
    assert_eq!(
        driver.joined(ticket).unwrap().error_code,
        NONE,
        "who is in it and brings no more stays in it"
    );
}

#[test]
fn the_initial_delay_gathers_members_into_one_generation() {
    let mut driver = Driver::new(GroupConfig { initial_rebalance_delay_ms: 3_000, ..config() });
    let (_, first) = driver.join_new();
    driver.advance(2_000);
    let (_, second) = driver.join_new();
    driver.advance(1_000);
    assert_eq!(driver.joined(first), None, "the second member extends the delay");
    driver.advance(3_000);
    assert_eq!(driver.joined(first).unwrap().generation_id, 1);
    assert_eq!(driver.joined(second).unwrap().generation_id, 1);
}

mod static_members {
    use super::*;

    /// Instances "a" and "b", stable in generation 2; "a" leads.
    fn stable(driver: &mut Driver) -> (MemberId, MemberId) {
        let ticket = driver.join(static_request("a"));
        let a = driver.joined(ticket).unwrap().member_id;
        driver.sync(&a, 1, &[&a]);
        let ticket = driver.join(static_request("b"));
        driver.join(static_request("a").with_member_id(a.clone()));
        let b = driver.joined(ticket).unwrap().member_id;
        driver.sync(&b, 2, &[]);
        driver.sync(&a, 2, &[&a, &b]);
        assert_eq!(driver.state(), "Stable");
        (a, b)
    }

    #[test]
    fn a_restart_within_the_session_disturbs_nobody_and_keeps_the_assignment() {
        let mut driver = Driver::new(config());
        let (a, b) = stable(&mut driver);
        let ticket = driver.join(static_request("b"));
        let joined = driver.joined(ticket).unwrap();
        assert_eq!((joined.error_code, joined.generation_id, &joined.leader), (NONE, 2, &a));
        assert_ne!(joined.member_id, b);
        assert_eq!(driver.state(), "Stable");
        let ticket = driver.sync(&joined.member_id, 2, &[]);
        assert_eq!(driver.synced(ticket).unwrap().assignment, b.as_bytes());
    }

    #[test]
    fn a_leader_that_restarts_has_nothing_to_assign() {
        let mut driver = Driver::new(config());
        let (a, _) = stable(&mut driver);
        let ticket = driver.join(static_request("a"));
        let joined = driver.joined(ticket).unwrap();
        assert!(joined.skip_assignment && joined.members.len() == 2 && joined.leader == joined.member_id);

        // A client before v9 is not to know that it leads.
        let ticket = driver.join_as(static_request("a"), 5);
        let old = driver.joined(ticket).unwrap();
        assert!(!old.skip_assignment && old.members.is_empty() && old.leader == joined.member_id);
        assert_ne!(old.leader, a);
    }

    #[test]
    fn the_replaced_member_is_fenced() {
        let mut driver = Driver::new(config());
        let (_, b) = stable(&mut driver);
        driver.join(static_request("b"));
        let ticket = driver.join(static_request("b").with_member_id(b));
        assert_eq!(driver.joined(ticket).unwrap().error_code, ErrorCode::FencedInstanceId.code());
    }

    #[test]
    fn a_request_of_the_replaced_member_that_waits_is_fenced() {
        let mut driver = Driver::new(config());
        stable(&mut driver);
        let (_, _) = driver.join_new();
        let waiting = driver.join(static_request("c"));
        let replacing = driver.join(static_request("c"));
        assert_eq!(driver.joined(waiting).unwrap().error_code, ErrorCode::FencedInstanceId.code());
        assert_eq!(driver.joined(replacing), None);
    }

    #[test]
    fn an_administrator_removes_by_instance_id() {
        let mut driver = Driver::new(config());
        stable(&mut driver);
        let identity = |id| MemberIdentity::default().with_group_instance_id(Some(text(id)));
        assert_eq!(driver.leave(identity("b")), NONE);
        assert_eq!(driver.leave(identity("b")), ErrorCode::UnknownMemberId.code());
        assert_eq!(driver.state(), "PreparingRebalance");
    }
}
