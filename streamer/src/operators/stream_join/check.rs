//! Which joins with streams Spark runs. The part of its `UnsupportedOperationChecker` that is about joins.

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Join, Operator};
use thiserror::Error;

use super::state_watermark::{bounds, event_time_key};
use crate::output_mode::OutputMode;
use crate::source::is_streaming;

/// Why Spark does not run a join, in its words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnsupportedJoin {
    #[error(
        "Join between two streaming DataFrames/Datasets is not supported in {0} output mode, only in Append output mode"
    )]
    Mode(&'static str),
    #[error(
        "Stream-stream {0} join between two streaming DataFrame/Datasets is not supported without a watermark in the \
         join keys, or a watermark on the nullable side and an appropriate range condition"
    )]
    Unbounded(&'static str),
    #[error(
        "FullOuter joins with streaming DataFrames/Datasets on the left and a static DataFrame/Dataset on the right is \
         not supported"
    )]
    FullStaticRight,
    #[error(
        "FullOuter joins with streaming DataFrames/Datasets on the right and a static DataFrame/Dataset on the left is \
         not supported"
    )]
    FullStaticLeft,
    #[error("LeftAnti joins with a streaming DataFrame/Dataset on the right are not supported")]
    AntiOfStream,
    #[error(
        "{0} join with a streaming DataFrame/Dataset on the right and a static DataFrame/Dataset on the left is not \
         supported"
    )]
    StaticLeft(&'static str),
    #[error(
        "RightOuter join with a streaming DataFrame/Dataset on the left and a static DataFrame/DataSet on the right not \
         supported"
    )]
    StaticRight,
    #[error("Except on a streaming DataFrame/Dataset on the right is not supported")]
    Except,
    #[error("Intersect of streaming DataFrames/Datasets is not supported")]
    Intersect,
    #[error("Join type {0} is not supported with streaming DataFrame/Dataset")]
    Kind(JoinType),
}

/// Refuses a join that Spark refuses. Its keys may still stand in its condition.
pub(crate) fn check(join: &Join, mode: OutputMode) -> Result<(), UnsupportedJoin> {
    let streaming = (is_streaming(&join.left), is_streaming(&join.right));
    if streaming == (false, false) {
        return Ok(());
    }
    let is_set = join.null_equality == NullEquality::NullEqualsNull && join.filter.is_none();
    match join.join_type {
        JoinType::LeftAnti if is_set && streaming.1 => return Err(UnsupportedJoin::Except),
        JoinType::LeftSemi if is_set => return Err(UnsupportedJoin::Intersect),
        _ => {}
    }
    if streaming == (true, true) {
        match mode {
            OutputMode::Append => {}
            OutputMode::Update => return Err(UnsupportedJoin::Mode("Update")),
            OutputMode::Complete => return Err(UnsupportedJoin::Mode("Complete")),
        }
    }
    match (join.join_type, streaming) {
        (JoinType::Inner, _) | (JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti, (true, false)) => {
            Ok(())
        }
        (JoinType::Right, (false, true)) => Ok(()),
        (JoinType::Full, (true, false)) => Err(UnsupportedJoin::FullStaticRight),
        (JoinType::Full, (false, true)) => Err(UnsupportedJoin::FullStaticLeft),
        (JoinType::LeftAnti, _) => Err(UnsupportedJoin::AntiOfStream),
        (JoinType::Left, (false, _)) => Err(UnsupportedJoin::StaticLeft("LeftOuter")),
        (JoinType::LeftSemi, (false, _)) => Err(UnsupportedJoin::StaticLeft("LeftSemi")),
        (JoinType::Right, (true, false)) => Err(UnsupportedJoin::StaticRight),
        (JoinType::Left, _) => bounded(join, "LeftOuter"),
        (JoinType::LeftSemi, _) => bounded(join, "LeftSemi"),
        (JoinType::Right, _) => bounded(join, "RightOuter"),
        (JoinType::Full, _) => bounded(join, "FullOuter"),
        (JoinType::LeftMark, (true, false)) => Ok(()),
        (kind, _) => Err(UnsupportedJoin::Kind(kind)),
    }
}

/// Whether the watermark tells when a row has no partner.
fn bounded(join: &Join, name: &'static str) -> Result<(), UnsupportedJoin> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let (keys, rest) = keys(join);
    let (left_keys, right_keys): (Vec<_>, Vec<_>) = keys.iter().map(|(left, right)| (left, right)).unzip();
    if event_time_key(left, &left_keys).or_else(|| event_time_key(right, &right_keys)).is_some() {
        return Ok(());
    }
    let of_left = || !bounds(left, right, rest.as_ref()).is_empty();
    let of_right = || !bounds(right, left, rest.as_ref()).is_empty();
    let is_bounded = match join.join_type {
        JoinType::Right => of_right(),
        JoinType::Full => of_left() || of_right(),
        _ => of_left(),
    };
    if is_bounded { Ok(()) } else { Err(UnsupportedJoin::Unbounded(name)) }
}

/// The pairs of keys, and the rest of the condition.
fn keys(join: &Join) -> (Vec<(Expr, Expr)>, Option<Expr>) {
    let (left, right) = (join.left.schema(), join.right.schema());
    let mut keys = join.on.clone();
    let mut rest = Vec::new();
    for part in join.filter.as_ref().map(split_conjunction).unwrap_or_default() {
        let pair = match part {
            Expr::BinaryExpr(BinaryExpr {
                left: l,
                op: Operator::Eq | Operator::IsNotDistinctFrom,
                right: r,
            }) => find_valid_equijoin_key_pair(l, r, left, right).ok().flatten(),
            _ => None,
        };
        match pair {
            Some(pair) => keys.push(pair),
            None => rest.push(part.clone()),
        }
    }
    (keys, conjunction(rest))
}
