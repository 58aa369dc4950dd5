//! `aggregate`: one value of all elements.

use datafusion::arrow::array::{Array, ArrayRef, ListArray, UInt32Array};
use datafusion::arrow::compute::{cast, interleave, take};
use datafusion::common::Result;
use datafusion::logical_expr::LambdaArgument;

use super::elements::evaluate;

/// Row by row from the first element to the last, all rows side by side.
pub(super) fn aggregate(
    array: &ListArray,
    start: &ArrayRef,
    merge: &LambdaArgument,
    finish: Option<&LambdaArgument>,
) -> Result<ArrayRef> {
    let mut sums = start.clone();
    let longest = (0..array.len()).map(|row| array.value_length(row)).max().unwrap_or(0);
    for place in 0..longest {
        let has_one = |row: &usize| array.is_valid(*row) && array.value_length(*row) > place;
        let rows: UInt32Array = (0..array.len()).filter(has_one).map(|row| row as u32).collect();
        let elements = rows.values().iter().map(|row| (array.value_offsets()[*row as usize] + place) as u32);
        let elements: UInt32Array = elements.collect();
        let parameters = [take(&sums, &rows, None)?, take(array.values(), &elements, None)?];
        let merged = cast(&evaluate(merge, &parameters, &rows)?, start.data_type())?;
        let mut places: Vec<_> = (0..array.len()).map(|row| (0, row)).collect();
        for (place, row) in rows.values().iter().enumerate() {
            if let Some(merged) = places.get_mut(*row as usize) {
                *merged = (1, place);
            }
        }
        sums = interleave(&[sums.as_ref(), merged.as_ref()], &places)?;
    }
    let rows: UInt32Array = (0..array.len() as u32).collect();
    let finished = match finish {
        Some(finish) => evaluate(finish, &[sums], &rows)?,
        None => sums,
    };
    // Of no array there is no sum.
    let nulls = rows.iter().zip(0..).map(|(row, place)| row.filter(|_| array.is_valid(place)));
    Ok(take(&finished, &nulls.collect::<UInt32Array>(), None)?)
}
