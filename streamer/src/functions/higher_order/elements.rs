//! What a lambda is called with.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, MapArray, UInt32Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{cast, filter, take_arrays};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::LambdaArgument;

/// The elements of all rows, one after the other.
pub(super) struct Elements {
    /// Where each row's begin.
    pub(super) offsets: OffsetBuffer<i32>,
    /// What a lambda gets of each.
    pub(super) parameters: Vec<ArrayRef>,
    /// The row of each.
    rows: UInt32Array,
}

impl Elements {
    fn new(offsets: &OffsetBuffer<i32>, parameters: impl FnOnce(usize, usize) -> Vec<ArrayRef>) -> Elements {
        let begin = offsets.first().copied().unwrap_or(0);
        let end = offsets.last().copied().unwrap_or(0);
        let lengths = || {
            offsets
                .windows(2)
                .map(|pair| pair.last().zip(pair.first()).map_or(0, |(to, from)| (to - from) as usize))
        };
        let rows = (0_u32..).zip(lengths()).flat_map(|(row, length)| std::iter::repeat_n(row, length));
        Elements {
            rows: rows.collect(),
            parameters: parameters(begin as usize, (end - begin) as usize),
            offsets: OffsetBuffer::from_lengths(lengths()),
        }
    }

    pub(super) fn of_list(array: &ListArray) -> Result<Elements> {
        let elements =
            Elements::new(array.offsets(), |begin, length| vec![array.values().slice(begin, length)]);
        let places = elements.offsets.windows(2).flat_map(|pair| {
            let length = pair.last().zip(pair.first()).map_or(0, |(to, from)| to - from);
            0..length
        });
        let places: Int32Array = places.collect();
        let parameters = elements.parameters.iter().cloned().chain([Arc::new(places) as ArrayRef]).collect();
        Ok(Elements { parameters, ..elements })
    }

    pub(super) fn of_map(map: &MapArray) -> Result<Elements> {
        Ok(Elements::new(map.offsets(), |begin, length| {
            vec![map.keys().slice(begin, length), map.values().slice(begin, length)]
        }))
    }

    pub(super) fn evaluate(&self, lambda: &LambdaArgument) -> Result<ArrayRef> {
        evaluate(lambda, &self.parameters, &self.rows)
    }

    /// With whether the lambda is true of each.
    pub(super) fn judged(self, lambda: &LambdaArgument) -> Result<(Elements, BooleanArray)> {
        let keeps = cast(&self.evaluate(lambda)?, &DataType::Boolean)?;
        let keeps: BooleanArray = keeps.as_boolean().iter().map(|keeps| Some(keeps == Some(true))).collect();
        Ok((self, keeps))
    }

    pub(super) fn kept(&self, keeps: &BooleanArray) -> Result<Elements> {
        let lengths = self.offsets.windows(2).map(|pair| {
            let range = pair.first().zip(pair.last()).map_or(0..0, |(from, to)| *from as usize..*to as usize);
            range.filter(|place| keeps.value(*place)).count()
        });
        let parameters = self.parameters.iter().map(|values| filter(values, keeps));
        Ok(Elements {
            offsets: OffsetBuffer::from_lengths(lengths),
            parameters: parameters.collect::<std::result::Result<_, _>>()?,
            rows: filter(&self.rows, keeps)?.as_primitive().clone(),
        })
    }
}

/// The lambda of each element; columns from outside have the values of its row.
pub(super) fn evaluate(
    lambda: &LambdaArgument,
    parameters: &[ArrayRef],
    rows: &UInt32Array,
) -> Result<ArrayRef> {
    let parameters: Vec<_> = parameters.iter().map(|values| move || Ok(values.clone())).collect();
    let parameters: Vec<&dyn Fn() -> Result<ArrayRef>> =
        parameters.iter().map(|parameter| parameter as &dyn Fn() -> Result<ArrayRef>).collect();
    lambda.evaluate(&parameters, |columns| Ok(take_arrays(columns, rows, None)?))?.into_array(rows.len())
}
