//! A SyncGroup request: the leader brings the assignment, every member asks for its part of it.

use std::collections::HashMap;

use bytes::Bytes;
use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::{ErrorCode, StrBytes};
use tracing::info;

use super::member::Waiting;
use super::{ClassicGroup, Phase};
use crate::detach;
use crate::groups::MemberId;
use crate::groups::turn::{Ticket, Turn};

impl ClassicGroup {
    pub(crate) fn sync(&mut self, ticket: Ticket, request: SyncGroupRequest, turn: &mut Turn<'_>) {
        if let Err(error) = self.check_sync(&request) {
            return turn.refuse_sync(ticket, error);
        }
        match &mut self.phase {
            Phase::Empty => turn.refuse_sync(ticket, ErrorCode::UnknownMemberId),
            Phase::PreparingRebalance(_) => turn.refuse_sync(ticket, ErrorCode::RebalanceInProgress),
            Phase::CompletingRebalance(syncing) => {
                syncing.pending.remove(&request.member_id);
                self.await_assignment(&request.member_id, ticket, turn);
                if self.is_leader(&request.member_id) {
                    self.assign(request, turn);
                }
            }
            Phase::Stable(syncing) => {
                syncing.pending.remove(&request.member_id);
                let assignment = self.members.get(&request.member_id).map(|member| member.assignment.clone());
                turn.answer_sync(ticket, self.sync_response(assignment.unwrap_or_default()));
            }
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        let instance_id = request.group_instance_id.as_ref();
        self.check_member_of_generation(&request.member_id, instance_id, request.generation_id)?;
        // KIP-559: v5 and later say what they think the group agreed on.
        if contradicts(request.protocol_type.as_ref(), self.protocol_type.as_ref())
            || contradicts(request.protocol_name.as_ref(), self.protocol_name.as_ref())
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn await_assignment(&mut self, member_id: &MemberId, ticket: Ticket, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        // The client has given up on a request that it repeats; it is answered for the sake of its connection.
        if let Waiting::Sync(earlier) = std::mem::replace(&mut member.waiting, Waiting::Sync(ticket)) {
            turn.refuse_sync(earlier, ErrorCode::RebalanceInProgress);
        }
    }

    /// Takes the leader's assignment, has it written, and gives every member that waits its part. A member that the
    /// leader left out gets nothing to do.
    fn assign(&mut self, request: SyncGroupRequest, turn: &mut Turn<'_>) {
        let Phase::CompletingRebalance(syncing) = &mut self.phase else { return };
        let syncing = std::mem::take(syncing);
        let mut assignments: HashMap<MemberId, Bytes> =
            request.assignments.into_iter().map(|part| (part.member_id, part.assignment)).collect();
        for member in self.members.values_mut() {
            member.assignment =
                assignments.remove(&member.id).as_ref().map(detach::bytes).unwrap_or_default();
        }
        info!(
            group = self.id.as_str(),
            generation = self.generation_id,
            members = self.members.len(),
            "group is stable"
        );
        self.enter(Phase::Stable(syncing), turn);
        turn.append(self.metadata_record());
        self.settle_syncs(Ok(()), turn);
    }

    /// Answers every waiting SyncGroup, with the member's assignment or with an error.
    pub(super) fn settle_syncs(&mut self, outcome: Result<(), ErrorCode>, turn: &mut Turn<'_>) {
        let template = self.sync_response(Bytes::new());
        for member in self.members.values_mut() {
            let Waiting::Sync(ticket) = member.waiting else { continue };
            member.waiting = Waiting::Nothing;
            // The session may have run out while the member waited for us.
            member.restart_session(turn.now.monotonic_ms);
            match outcome {
                Ok(()) => {
                    turn.answer_sync(ticket, template.clone().with_assignment(member.assignment.clone()));
                }
                Err(error) => turn.refuse_sync(ticket, error),
            }
        }
    }

    fn sync_response(&self, assignment: Bytes) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol_name.clone())
            .with_assignment(assignment)
    }
}

fn contradicts(theirs: Option<&StrBytes>, ours: Option<&StrBytes>) -> bool {
    matches!((theirs, ours), (Some(theirs), Some(ours)) if theirs != ours)
}
