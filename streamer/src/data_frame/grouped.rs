//! Spark's `RelationalGroupedDataset`.

use super::DataFrame;

/// Rows in groups, to be aggregated.
#[must_use]
pub struct GroupedData {
    frame: DataFrame,
    groups: Vec<String>,
}

impl GroupedData {
    pub(super) fn new(frame: DataFrame, groups: Vec<String>) -> GroupedData {
        GroupedData { frame, groups }
    }

    /// The groups' columns and the aggregates, as SQL such as `count(*) AS n`.
    pub fn agg(&self, aggregates: impl IntoIterator<Item = impl AsRef<str>>) -> DataFrame {
        let aggregates = aggregates.into_iter().map(|aggregate| aggregate.as_ref().to_owned());
        let columns: Vec<_> = self.groups.iter().cloned().chain(aggregates).collect();
        let places: Vec<_> = (1..=self.groups.len()).map(|place| place.to_string()).collect();
        let group_by =
            if places.is_empty() { String::new() } else { format!(" GROUP BY {}", places.join(", ")) };
        self.frame.query(&format!("SELECT {} FROM frame{group_by}", columns.join(", ")))
    }

    /// How many rows each group has, as the column `count`.
    pub fn count(&self) -> DataFrame {
        self.agg(["count(*) AS count"])
    }
}
