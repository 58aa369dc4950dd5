//! `minPartitions` and `maxRecordsPerPartition`: a batch's ranges in more pieces. Spark's
//! `KafkaOffsetRangeCalculator`.

use super::options::KafkaOptions;
use super::source::OffsetRange;

/// More partitions than this a plan does not get.
const MAX_PIECES: i64 = 10_000;

/// The ranges in pieces of about the same size each, as many as the options ask for. Pieces are read side by side, so
/// that the rows of one Kafka partition come in the order of its pieces only within each.
pub fn split(ranges: Vec<OffsetRange>, options: &KafkaOptions) -> Vec<OffsetRange> {
    let ranges = match options.max_records_per_partition {
        Some(max) => pieces(&ranges, |size| size / as_i64(max) + i64::from(size % as_i64(max) > 0)),
        None => ranges,
    };
    let wanted = options.min_partitions.map_or(0, as_i64);
    if wanted <= ranges.len() as i64 {
        return ranges;
    }
    let total: f64 = ranges.iter().map(|range| size(range) as f64).sum();
    pieces(&ranges, |size| (size as f64 / total * wanted as f64).round() as i64)
}

fn pieces(ranges: &[OffsetRange], count: impl Fn(i64) -> i64) -> Vec<OffsetRange> {
    let mut pieces = Vec::new();
    for range in ranges {
        let count = count(size(range)).clamp(1, size(range).clamp(1, MAX_PIECES));
        let mut from = range.from;
        for left in (1..=count).rev() {
            let to = from + (range.to - from) / left;
            pieces.push(OffsetRange { partition: range.partition.clone(), from, to });
            from = to;
        }
    }
    pieces
}

fn size(range: &OffsetRange) -> i64 {
    range.to.saturating_sub(range.from)
}

fn as_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::options::Options;

    use super::super::offsets::TopicPartition;
    use super::*;

    fn split_by(sizes: &[i64], key: &str, value: &str) -> Vec<(i32, i64, i64)> {
        let ranges = sizes.iter().zip(0..).map(|(size, partition)| OffsetRange {
            partition: TopicPartition::new("t", partition),
            from: 100,
            to: 100 + size,
        });
        let options =
            Options::from_iter([("subscribe", "t"), ("kafka.bootstrap.servers", "b:9092"), (key, value)]);
        let pieces = split(ranges.collect(), &KafkaOptions::parse(&options).unwrap());
        pieces.into_iter().map(|piece| (piece.partition.partition, piece.from, piece.to)).collect()
    }

    #[test]
    fn pieces_are_as_many_as_asked_for_and_leave_nothing_out() {
        assert_eq!(split_by(&[10], "minPartitions", "3"), [(0, 100, 103), (0, 103, 106), (0, 106, 110)]);
        assert_eq!(split_by(&[1, 100], "minPartitions", "4").len(), 5);
        assert_eq!(split_by(&[5, 5], "minPartitions", "2"), [(0, 100, 105), (1, 100, 105)]);
        assert_eq!(split_by(&[2], "minPartitions", "5"), [(0, 100, 101), (0, 101, 102)]);
        assert_eq!(
            split_by(&[5], "maxRecordsPerPartition", "2"),
            [(0, 100, 101), (0, 101, 103), (0, 103, 105)]
        );
        assert_eq!(split_by(&[5], "startingOffsets", "earliest"), [(0, 100, 105)]);
    }
}
