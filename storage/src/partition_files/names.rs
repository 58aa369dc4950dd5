//! What a segment's files are called.

use std::path::{Path, PathBuf};

/// Which of a segment's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    /// Aborted transactions.
    TransactionIndex,
    ProducerSnapshot,
}

/// What a file's name says about its future, as Kafka has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suffix {
    /// Part of the log.
    None,
    /// Being written by compaction.
    Cleaned,
    /// Complete, and about to replace what it covers.
    Swap,
    /// Gone but for the file itself. Only Kafka leaves such files.
    Deleted,
}

/// A segment file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) offset: i64,
    pub(crate) kind: FileKind,
    pub(crate) suffix: Suffix,
}

impl FileKind {
    const ALL: [FileKind; 5] = [
        FileKind::Log,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::ProducerSnapshot,
    ];

    /// Those that belong to one segment alone. The log comes first: without it the others are removed at the next
    /// start, so that a segment is there or not.
    pub(crate) const OF_SEGMENT: [FileKind; 4] =
        [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TransactionIndex];

    fn extension(self) -> &'static str {
        match self {
            FileKind::Log => "log",
            FileKind::OffsetIndex => "index",
            FileKind::TimeIndex => "timeindex",
            FileKind::TransactionIndex => "txnindex",
            FileKind::ProducerSnapshot => "snapshot",
        }
    }
}

impl Suffix {
    const ALL: [Suffix; 4] = [Suffix::None, Suffix::Cleaned, Suffix::Swap, Suffix::Deleted];

    fn text(self) -> &'static str {
        match self {
            Suffix::None => "",
            Suffix::Cleaned => ".cleaned",
            Suffix::Swap => ".swap",
            Suffix::Deleted => ".deleted",
        }
    }
}

impl FileName {
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        let FileName { offset, kind, suffix } = self;
        dir.join(format!("{offset:020}.{}{}", kind.extension(), suffix.text()))
    }

    pub(crate) fn parse(name: &str) -> Option<FileName> {
        let (digits, rest) = name.split_once('.')?;
        if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let offset = digits.parse().ok()?;
        let of_kind = |kind: FileKind| {
            let suffix = rest.strip_prefix(kind.extension())?;
            let suffix = Suffix::ALL.into_iter().find(|known| known.text() == suffix)?;
            Some(FileName { offset, kind, suffix })
        };
        FileKind::ALL.into_iter().find_map(of_kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        let name = |offset, kind, suffix| Some(FileName { offset, kind, suffix });
        let parse = FileName::parse;
        assert_eq!(parse("00000000000000000042.timeindex"), name(42, FileKind::TimeIndex, Suffix::None));
        assert_eq!(parse("00000000000000000042.log.deleted"), name(42, FileKind::Log, Suffix::Deleted));
        assert_eq!(
            parse("00000000000000000042.txnindex.swap"),
            name(42, FileKind::TransactionIndex, Suffix::Swap)
        );
        for other in [
            "42.log",
            "00000000000000000042.log.tmp",
            "00000000000000000042.logs",
            "99999999999999999999.log",
            "leader-epoch-checkpoint",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_is_found_again() {
        for (kind, suffix) in
            FileKind::ALL.into_iter().flat_map(|kind| Suffix::ALL.map(|suffix| (kind, suffix)))
        {
            let name = FileName { offset: 7, kind, suffix };
            let path = name.path(Path::new("t-0"));
            assert_eq!(FileName::parse(path.file_name().unwrap().to_str().unwrap()), Some(name));
        }
    }
}
