//! What the log knows about data files, in the engine's words.

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Schema;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, ScalarValue, Statistics};
use habitue_storage::event::{EVENT, IDENTIFIER_ID, TS};
use habitue_storage::log::action::DataFile;
use std::collections::HashSet;
use std::sync::Arc;

/// The statistics of files about some columns only: so that it can be told which column left a
/// file out.
pub(crate) struct FileStatistics<'a> {
    pub(crate) files: &'a [DataFile],
    pub(crate) about: &'a [&'a str],
}

/// The smallest or the largest value.
#[derive(Clone, Copy)]
enum Extreme {
    Min,
    Max,
}

impl FileStatistics<'_> {
    fn knows(&self, column: &Column) -> bool {
        self.about.contains(&column.name.as_str())
    }

    fn extremes(&self, column: &Column, extreme: Extreme) -> Option<ArrayRef> {
        if !self.knows(column) {
            return None;
        }
        match column.name.as_str() {
            TS => Some(self.times(extreme)),
            EVENT => Some(self.names(extreme)),
            IDENTIFIER_ID => Some(self.identifiers(extreme)),
            _ => None,
        }
    }

    fn times(&self, extreme: Extreme) -> ArrayRef {
        let times = self.files.iter().map(|file| match extreme {
            Extreme::Min => file.ts_min_us,
            Extreme::Max => file.ts_max_us,
        });
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    }

    fn names(&self, extreme: Extreme) -> ArrayRef {
        let names = self.files.iter().map(|file| {
            let names = file.event_names.as_ref()?;
            match extreme {
                Extreme::Min => names.first(),
                Extreme::Max => names.last(),
            }
        });
        Arc::new(names.collect::<StringViewArray>())
    }

    fn identifiers(&self, extreme: Extreme) -> ArrayRef {
        let identifiers = self.files.iter().map(|file| match extreme {
            Extreme::Min => file.identifier_min.map(i64::from),
            Extreme::Max => file.identifier_max.map(i64::from),
        });
        Arc::new(identifiers.collect::<Int64Array>())
    }
}

impl PruningStatistics for FileStatistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.extremes(column, Extreme::Min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.extremes(column, Extreme::Max)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, _column: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(self.files.iter().map(|file| file.rows))))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        if column.name != EVENT || !self.knows(column) {
            return None;
        }
        let wanted = values.iter().map(|value| value.try_as_str().flatten());
        let wanted = wanted.collect::<Option<HashSet<_>>>()?;
        Some(self.files.iter().map(|file| names_among(file, &wanted)).collect())
    }
}

/// Whether all event names of a file are wanted, none, or neither.
fn names_among(file: &DataFile, wanted: &HashSet<&str>) -> Option<bool> {
    let names = file.event_names.as_ref()?;
    let found = names.iter().filter(|name| wanted.contains(name.as_str())).count();
    match found {
        0 => Some(false),
        all if all == names.len() => Some(true),
        _ => None,
    }
}

/// What the optimizer may know about one file.
pub(crate) fn statistics_of(file: &DataFile, schema: &Schema) -> Statistics {
    let rows = usize::try_from(file.rows).map_or(Precision::Absent, Precision::Exact);
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = rows;
    if let Ok(ts) = schema.index_of(TS) {
        let at = |time| ScalarValue::TimestampMicrosecond(Some(time), Some("UTC".into()));
        statistics.column_statistics[ts] = ColumnStatistics {
            min_value: Precision::Exact(at(file.ts_min_us)),
            max_value: Precision::Exact(at(file.ts_max_us)),
            null_count: Precision::Exact(0),
            ..ColumnStatistics::new_unknown()
        };
    }
    statistics
}

/// What the optimizer may know about these files together.
pub(crate) fn statistics_of_all(files: &[Arc<Statistics>], schema: &Schema) -> Statistics {
    let mut files = files.iter();
    let Some(first) = files.next() else {
        return Statistics { num_rows: Precision::Exact(0), ..Statistics::new_unknown(schema) };
    };
    files.fold(first.as_ref().clone(), |all, file| {
        let columns = all.column_statistics.iter().zip(&file.column_statistics);
        let column_statistics = columns.map(|(all, file)| ColumnStatistics {
            min_value: all.min_value.min(&file.min_value),
            max_value: all.max_value.max(&file.max_value),
            null_count: all.null_count.add(&file.null_count),
            ..ColumnStatistics::new_unknown()
        });
        Statistics {
            num_rows: all.num_rows.add(&file.num_rows),
            column_statistics: column_statistics.collect(),
            ..Statistics::new_unknown(schema)
        }
    })
}
