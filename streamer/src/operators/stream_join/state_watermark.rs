//! When a side of a join may forget its rows. Spark's `StreamingJoinHelper` and `StreamingSymmetricHashJoinHelper`.
//!
//! Where an event time is among the keys, a row can be forgotten as soon as the watermark has passed it. Otherwise a
//! condition such as `b.ts < a.ts + INTERVAL 5 MINUTES` tells how late a partner may come: later rows of `b` are after the
//! watermark, and so rows of `a` are done with whose time is more than five minutes before it.

use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::operators::event_time::{EventTimeKey, EventTimeKind, delay_ms};

const SECOND_US: f64 = 1_000_000.0;

/// By what a side forgets its rows.
#[derive(Clone, Debug)]
pub(super) enum Eviction {
    /// By the key at this place.
    Key { place: usize, kind: EventTimeKind },
    /// By the side's event time, when the state's watermark has passed it.
    Value { time: EventTimeKey, bounds: Vec<Bound> },
}

/// What one condition says of a side's rows: their time is after the watermark moved by `shift_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    shift_us: i64,
    /// Whether the very moment can still have a partner.
    inclusive: bool,
}

impl Eviction {
    pub(super) fn new(
        (side, keys): (&DFSchema, &[&Expr]),
        (other, other_keys): (&DFSchema, &[&Expr]),
        condition: Option<&Expr>,
    ) -> Option<Eviction> {
        let key = event_time_key(side, keys).or_else(|| event_time_key(other, other_keys));
        if let Some(key) = key {
            return Some(Eviction::Key { place: key.column, kind: key.kind });
        }
        let time = EventTimeKey::find(side.fields().iter().map(AsRef::as_ref))?;
        let bounds = bounds(side, other, condition);
        (!bounds.is_empty()).then_some(Eviction::Value { time, bounds })
    }

    /// Up to where rows are forgotten at this watermark, in milliseconds. Spark's state watermark.
    pub(super) fn until_ms(&self, watermark_ms: i64) -> i64 {
        match self {
            Eviction::Key { .. } => watermark_ms,
            Eviction::Value { bounds, .. } => {
                let until = bounds.iter().map(|bound| bound.until_ms(watermark_ms));
                until.min().unwrap_or(watermark_ms)
            }
        }
    }
}

impl Bound {
    fn until_ms(self, watermark_ms: i64) -> i64 {
        let moved_us = watermark_ms.saturating_mul(1_000).saturating_add(self.shift_us);
        moved_us / 1_000 - i64::from(self.inclusive)
    }
}

/// The first key that is event time, by its place among the keys.
pub(super) fn event_time_key(schema: &DFSchema, keys: &[&Expr]) -> Option<EventTimeKey> {
    keys.iter().enumerate().find_map(|(place, key)| {
        let Expr::Column(column) = key else {
            return None;
        };
        let (_, field) = schema.qualified_field_from_column(column).ok()?;
        let key = EventTimeKey::find([field.as_ref()])?;
        Some(EventTimeKey { column: place, ..key })
    })
}

/// What the condition says of the side's event time, given that the other side's is after the watermark.
pub(super) fn bounds(side: &DFSchema, other: &DFSchema, condition: Option<&Expr>) -> Vec<Bound> {
    let conjuncts = condition.map(split_conjunction).unwrap_or_default();
    let comparisons = conjuncts.into_iter().flat_map(comparisons);
    comparisons
        .filter_map(|(less, more, inclusive)| {
            let shift_us = shift_us(less, more, side, other)?;
            Some(Bound { shift_us, inclusive })
        })
        .collect()
}

/// The comparison as `less < more` or `less <= more`.
fn comparisons(condition: &Expr) -> Vec<(&Expr, &Expr, bool)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Lt => vec![(left, right, false)],
            Operator::LtEq => vec![(left, right, true)],
            Operator::Gt => vec![(right, left, false)],
            Operator::GtEq => vec![(right, left, true)],
            _ => Vec::new(),
        },
        Expr::Between(between) if !between.negated => {
            vec![(&between.low, &between.expr, true), (&between.expr, &between.high, true)]
        }
        _ => Vec::new(),
    }
}

/// How far behind the other side's time the side's may be: `other + shift < side`.
fn shift_us(less: &Expr, more: &Expr, side: &DFSchema, other: &DFSchema) -> Option<i64> {
    let mut terms = Terms::default();
    terms.add(less, true)?;
    terms.add(more, false)?;
    let (mut own, mut others) = (None, None);
    for (column, positive) in terms.columns {
        let of = if side.is_column_from_schema(column) { &mut own } else { &mut others };
        if of.replace((column, positive)).is_some() {
            return None;
        }
    }
    // `own` stands on the greater side, and what the watermark is known of on the lesser.
    let ((_, false), (theirs, true)) = (own?, others?) else {
        return None;
    };
    let (_, field) = other.qualified_field_from_column(theirs).ok()?;
    delay_ms(field.metadata())?;
    Some(terms.constant_us)
}

/// A sum of columns and constants; whether a column is added or taken away.
#[derive(Default)]
struct Terms<'a> {
    columns: Vec<(&'a Column, bool)>,
    constant_us: i64,
}

impl<'a> Terms<'a> {
    /// `None` if it is no such sum.
    fn add(&mut self, expr: &'a Expr, positive: bool) -> Option<()> {
        match expr {
            Expr::Column(column) => self.columns.push((column, positive)),
            Expr::Literal(value, _) => {
                let us = interval_us(value)?;
                let us = if positive { us } else { us.checked_neg()? };
                self.constant_us = self.constant_us.checked_add(us)?;
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right }) => {
                self.add(left, positive)?;
                self.add(right, positive)?;
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => {
                self.add(left, positive)?;
                self.add(right, !positive)?;
            }
            Expr::Negative(inner) => self.add(inner, !positive)?,
            Expr::Alias(alias) => self.add(&alias.expr, positive)?,
            Expr::Cast(cast) => {
                let target = cast.field.data_type();
                if !target.is_numeric() && !target.is_temporal() {
                    return None;
                }
                self.add(&cast.expr, positive)?;
            }
            _ => return None,
        }
        Some(())
    }
}

/// A duration in microseconds; numbers are seconds, as in casts of timestamps. Months have no fixed length.
fn interval_us(value: &ScalarValue) -> Option<i64> {
    const DAY_US: i64 = 86_400_000_000;
    match value {
        ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months == 0 => {
            i64::from(interval.days).checked_mul(DAY_US)?.checked_add(interval.nanoseconds / 1_000)
        }
        ScalarValue::IntervalDayTime(Some(interval)) => {
            let days = i64::from(interval.days).checked_mul(DAY_US)?;
            days.checked_add(i64::from(interval.milliseconds) * 1_000)
        }
        ScalarValue::DurationSecond(Some(seconds)) => seconds.checked_mul(1_000_000),
        ScalarValue::DurationMillisecond(Some(ms)) => ms.checked_mul(1_000),
        ScalarValue::DurationMicrosecond(Some(us)) => Some(*us),
        ScalarValue::DurationNanosecond(Some(ns)) => Some(ns / 1_000),
        ScalarValue::Int8(Some(seconds)) => Some(i64::from(*seconds) * 1_000_000),
        ScalarValue::Int16(Some(seconds)) => Some(i64::from(*seconds) * 1_000_000),
        ScalarValue::Int32(Some(seconds)) => Some(i64::from(*seconds) * 1_000_000),
        ScalarValue::Int64(Some(seconds)) => seconds.checked_mul(1_000_000),
        // A fraction of a microsecond more or less is within a row's own precision.
        #[expect(clippy::cast_possible_truncation)]
        ScalarValue::Float64(Some(seconds)) => Some((seconds * SECOND_US) as i64),
        _ => None,
    }
}
