use ottla_protocol::ErrorCode;
use ottla_protocol::messages::leave_group_request::MemberIdentity;

use crate::groups::MemberId;
use crate::groups::driver::{Driver, config, group_id, join_request, topic};
use crate::groups::record::CoordinatorRecord;
use crate::transactions::transaction::Outcome;

const NONE: i16 = 0;
const HOUR_MS: i64 = 3_600_000;
const WEEK_MS: i64 = 7 * 24 * HOUR_MS;

#[test]
fn a_consumer_without_a_group_commits_while_the_group_is_empty() {
    let mut driver = Driver::new(config());
    let nobody = MemberId::default();
    assert_eq!(driver.commit(&nobody, -1, ""), Ok(NONE));
    assert_eq!(driver.committed(), Some(7));
    driver.stable_with_one();
    assert_eq!(driver.commit(&nobody, -1, ""), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_commit_must_be_of_a_member_and_its_generation() {
    let mut driver = Driver::new(config());
    assert_eq!(driver.commit(&MemberId::default(), 1, ""), Err(ErrorCode::GroupIdNotFound));
    let member_id = driver.stable_with_one();
    assert_eq!(driver.commit(&member_id, 1, "here"), Ok(NONE));
    assert_eq!(driver.commit(&member_id, 0, ""), Err(ErrorCode::IllegalGeneration));
    assert_eq!(driver.commit(&MemberId::default(), 1, ""), Err(ErrorCode::UnknownMemberId));
    driver.join(join_request(&member_id));
    assert_eq!(driver.commit(&member_id, 2, ""), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn metadata_may_have_4096_characters() {
    let mut driver = Driver::new(config());
    let nobody = MemberId::default();
    assert_eq!(driver.commit(&nobody, -1, &"ü".repeat(4_096)), Ok(NONE));
    assert_eq!(driver.commit(&nobody, -1, &"u".repeat(4_097)), Ok(ErrorCode::OffsetMetadataTooLarge.code()));
}

#[test]
fn offsets_outlive_the_last_member_by_the_retention() {
    let mut driver = Driver::new(config());
    let member_id = driver.stable_with_one();
    driver.commit(&member_id, 1, "").unwrap();
    // The member lives on for longer than the retention, and then leaves.
    for _ in 0..WEEK_MS / 9_000 + 1 {
        driver.advance(9_000);
        driver.heartbeat(&member_id, 1).unwrap();
    }
    driver.leave(MemberIdentity::default().with_member_id(member_id));
    driver.advance(WEEK_MS - HOUR_MS);
    assert_eq!(driver.committed(), Some(7));
    driver.advance(2 * HOUR_MS);
    assert_eq!((driver.committed(), driver.state()), (None, "Dead".to_owned()));
    assert_eq!(driver.groups.next_deadline_ms(), None, "nothing is left to wait for");
}

#[test]
fn offsets_of_a_group_without_members_expire_after_the_commit() {
    let mut driver = Driver::new(config());
    driver.commit(&MemberId::default(), -1, "").unwrap();
    driver.advance(WEEK_MS - HOUR_MS);
    driver.commit(&MemberId::default(), -1, "").unwrap();
    driver.advance(WEEK_MS - HOUR_MS);
    assert_eq!(driver.committed(), Some(7));
    driver.advance(2 * HOUR_MS);
    assert_eq!(driver.committed(), None);
}

#[test]
fn an_offset_that_an_open_transaction_may_commit_does_not_expire() {
    let mut driver = Driver::new(config());
    driver.commit(&MemberId::default(), -1, "").unwrap();
    driver.commit_in_transaction(1_000, 8);
    driver.advance(2 * WEEK_MS);
    assert_eq!(driver.committed(), Some(7));
    driver.end_transaction(1_000, Outcome::Commit);
    assert_eq!(driver.committed(), Some(8));
    driver.advance(WEEK_MS);
    assert_eq!((driver.committed(), driver.state()), (None, "Dead".to_owned()));
}

#[test]
fn a_group_of_an_open_transaction_alone_lives_until_that_ends() {
    let mut driver = Driver::new(config());
    driver.commit_in_transaction(1_000, 8);
    driver.advance(2 * WEEK_MS);
    assert_eq!(driver.state(), "Empty");
    driver.end_transaction(1_000, Outcome::Abort);
    driver.advance(HOUR_MS);
    assert_eq!(driver.state(), "Dead");
}

#[test]
fn what_is_deleted_takes_pending_offsets_along() {
    let deletions: [fn(&Driver) -> Vec<CoordinatorRecord>; 3] = [
        |driver| driver.groups.delete_group(&group_id()).unwrap(),
        |driver| driver.groups.delete_topic_offsets(&topic("t")),
        |driver| driver.groups.delete_offset(&group_id(), &topic("t"), 0).unwrap().into_iter().collect(),
    ];
    for delete in deletions {
        let mut driver = Driver::new(config());
        driver.commit(&MemberId::default(), -1, "").unwrap();
        driver.commit_in_transaction(1_000, 8);
        driver.commit_in_transaction(1_001, 9);
        let records = delete(&driver);
        driver.write(records);
        driver.end_transaction(1_000, Outcome::Commit);
        driver.end_transaction(1_001, Outcome::Commit);
        assert_eq!(driver.committed(), None);
    }
}

#[test]
fn offsets_of_a_topic_that_is_read_are_not_deleted() {
    let mut driver = Driver::new(config());
    let member_id = driver.stable_with_one();
    driver.commit(&member_id, 1, "").unwrap();
    assert_eq!(driver.groups.check_offset_delete(&group_id()), Ok(()));
    let subscribed = driver.groups.delete_offset(&group_id(), &topic("t"), 0);
    assert_eq!(subscribed, Err(ErrorCode::GroupSubscribedToTopic));
    assert_eq!(driver.groups.delete_group(&group_id()), Err(ErrorCode::NonEmptyGroup));

    driver.leave(MemberIdentity::default().with_member_id(member_id));
    let record = driver.groups.delete_offset(&group_id(), &topic("t"), 0).unwrap();
    driver.write(record.into_iter().collect());
    assert_eq!(driver.committed(), None);
    assert_eq!(driver.groups.delete_offset(&group_id(), &topic("t"), 0), Ok(None));
}

#[test]
fn a_deleted_group_leaves_nothing() {
    let mut driver = Driver::new(config());
    driver.commit(&MemberId::default(), -1, "").unwrap();
    let records = driver.groups.delete_group(&group_id()).unwrap();
    driver.write(records);
    assert_eq!((driver.committed(), driver.state()), (None, "Dead".to_owned()));
    assert_eq!(driver.groups.delete_group(&group_id()), Err(ErrorCode::GroupIdNotFound));
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut driver = Driver::new(config());
    driver.commit(&MemberId::default(), -1, "").unwrap();
    let records = driver.groups.delete_topic_offsets(&topic("t"));
    driver.write(records);
    assert_eq!(driver.committed(), None);
    assert!(driver.groups.delete_topic_offsets(&topic("t")).is_empty());
}
