//! `maxOffsetsPerTrigger`: how a batch's limit is shared among partitions. Spark's `KafkaMicroBatchStream.rateLimit`.

use super::offsets::PartitionOffsets;

/// Where a batch ends that may take `limit` offsets: each partition gives in proportion to what it has,
/// and at least one, so that small ones do not starve.
///
/// `from` must hold every partition of `latest`.
pub fn rate_limit(limit: u64, from: &PartitionOffsets, latest: &PartitionOffsets) -> PartitionOffsets {
    let backlog = |partition, end: i64| {
        let begin = from.0.get(partition)?;
        let size = end.saturating_sub(*begin);
        (size > 0).then_some((*begin, size))
    };
    let total: f64 = latest
        .0
        .iter()
        .filter_map(|(partition, end)| backlog(partition, *end))
        .map(|(_, size)| size as f64)
        .sum();
    let share = |size: i64| {
        let share = limit as f64 * (size as f64 / total);
        // A float beyond i64 becomes i64::MAX, as in Java.
        (if share < 1.0 { share.ceil() } else { share.floor() }) as i64
    };
    let ends = latest.0.iter().map(|(partition, end)| {
        let limited = match backlog(partition, *end) {
            Some((begin, size)) => begin.saturating_add(share(size)).min(*end),
            None => *end,
        };
        (partition.clone(), limited)
    });
    PartitionOffsets(ends.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::offsets::TopicPartition;
    use super::*;

    fn offsets(ends: &[i64]) -> PartitionOffsets {
        let entries = ends.iter().zip(0..);
        PartitionOffsets(
            entries.map(|(end, partition)| (TopicPartition::new("t", partition), *end)).collect(),
        )
    }

    #[test]
    fn shares_in_proportion_and_starves_nobody() {
        let limited = rate_limit(10, &offsets(&[0, 0, 5]), &offsets(&[100, 1, 5]));
        assert_eq!(limited, offsets(&[9, 1, 5]));
        assert_eq!(rate_limit(1_000, &offsets(&[0, 0]), &offsets(&[3, 4])), offsets(&[3, 4]));
    }

    proptest! {
        #[test]
        fn stays_in_bounds_and_moves_on(
            limit in 1..10_000_u64,
            ranges in proptest::collection::vec((0..1_000_000_i64, 0..1_000_000_i64), 1..40),
        ) {
            let from = offsets(&ranges.iter().map(|(begin, _)| *begin).collect::<Vec<_>>());
            let latest = offsets(&ranges.iter().map(|(begin, size)| begin + size).collect::<Vec<_>>());
            let limited = rate_limit(limit, &from, &latest);
            let mut taken = 0;
            for (partition, end) in &limited.0 {
                let (begin, last) = (from.0[partition], latest.0[partition]);
                prop_assert!(begin <= *end && *end <= last);
                prop_assert!(begin == last || *end > begin, "{} starves", partition);
                taken += end - begin;
            }
            // Each partition may round up to one.
            prop_assert!(taken.cast_unsigned() <= limit + ranges.len() as u64);
        }
    }
}
