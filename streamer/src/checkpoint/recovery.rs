//! From what the two logs say to what runs first. Pure; Spark's `MicroBatchExecution.populateStartOffsets`.

use super::offset_log::OffsetSeq;

/// Where a query goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Resume {
    /// Nothing is logged: batch 0 is next.
    Start,
    /// The batch was logged but not committed: it runs again with the very range that was logged.
    Rerun {
        batch_id: u64,
        /// The offsets where the batch begins; `None` for batch 0.
        from: Option<OffsetSeq>,
        to: OffsetSeq,
    },
    /// Every logged batch is committed: `batch_id` is next, from `from` on.
    Next { batch_id: u64, from: OffsetSeq },
}

pub(super) fn resume(
    batch_id: u64,
    latest: OffsetSeq,
    previous: Option<OffsetSeq>,
    latest_commit: Option<u64>,
) -> Result<Resume, String> {
    match latest_commit {
        Some(committed) if committed == batch_id => Ok(Resume::Next { batch_id: batch_id + 1, from: latest }),
        Some(committed) if committed > batch_id => {
            Err(format!("commits/{committed} has no offsets/{committed}: a file was deleted"))
        }
        Some(committed) if committed + 1 < batch_id => Err(format!(
            "offsets/{batch_id} is there, but commits/{} is missing: a file was deleted",
            committed + 1
        )),
        _ if batch_id > 0 && previous.is_none() => Err(format!(
            "offsets/{batch_id} is there, but offsets/{} is missing: a file was deleted",
            batch_id - 1
        )),
        _ => Ok(Resume::Rerun { batch_id, from: previous, to: latest }),
    }
}

pub(super) fn without_offsets(latest_commit: Option<u64>) -> Result<Resume, String> {
    match latest_commit {
        None => Ok(Resume::Start),
        Some(committed) => Err(format!("commits/{committed} has no offsets/{committed}: a file was deleted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(end: i64) -> OffsetSeq {
        OffsetSeq { metadata: None, offsets: vec![Some(format!("{{\"t\":{{\"0\":{end}}}}}"))] }
    }

    #[test]
    fn a_committed_batch_is_passed_and_an_uncommitted_one_runs_again() {
        let next = resume(3, offsets(30), Some(offsets(20)), Some(3)).unwrap();
        assert_eq!(next, Resume::Next { batch_id: 4, from: offsets(30) });
        let rerun = resume(3, offsets(30), Some(offsets(20)), Some(2)).unwrap();
        assert_eq!(rerun, Resume::Rerun { batch_id: 3, from: Some(offsets(20)), to: offsets(30) });
        let first = resume(0, offsets(9), None, None).unwrap();
        assert_eq!(first, Resume::Rerun { batch_id: 0, from: None, to: offsets(9) });
    }

    #[test]
    fn missing_files_are_named() {
        for (batch_id, previous, commit, named) in [
            (3, Some(offsets(20)), Some(1), "commits/2"),
            (3, Some(offsets(20)), Some(5), "offsets/5"),
            (3, None, Some(2), "offsets/2"),
        ] {
            let reason = resume(batch_id, offsets(30), previous, commit).unwrap_err();
            assert!(reason.contains(named), "{reason}");
        }
        without_offsets(Some(2)).unwrap_err();
        assert_eq!(without_offsets(None), Ok(Resume::Start));
    }
}
