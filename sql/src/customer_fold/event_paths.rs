//! The fold of `event_paths`: columns customer, ts, name, begins, ends.

use super::Folding;
use super::labels::LabelNames;
use super::rows::{CustomerRows, steps};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::exec_err;
use datafusion::error::Result;
use habitue_udf::event_paths::{EventPaths, Marked, NAMES_MAX, PathRule};
use habitue_udf::true_rows;
use std::sync::Arc;

/// Counts paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub(crate) struct PathFold {
    pub(crate) rule: PathRule,
}

impl PathFold {
    /// `step_1, …, times, customers`.
    pub(super) fn schema(&self) -> SchemaRef {
        let steps = (1..=self.rule.steps)
            .map(|step| Field::new(format!("step_{step}"), DataType::Utf8, false));
        let counts = ["times", "customers"].map(|name| Field::new(name, DataType::Int64, false));
        Arc::new(Schema::new(steps.chain(counts).collect::<Vec<_>>()))
    }

    pub(super) fn start(&self) -> Box<dyn Folding> {
        let paths = EventPaths::new(self.rule);
        Box::new(Paths { schema: self.schema(), paths, names: LabelNames::default() })
    }
}

/// A condition of the rows of a batch.
struct Condition {
    truths: BooleanBuffer,
    is_all: bool,
}

impl Condition {
    /// NULL is false.
    fn of(column: &ArrayRef) -> Self {
        let truths = true_rows(column.as_boolean());
        let is_all = truths.count_set_bits() == truths.len();
        Self { truths, is_all }
    }

    /// The rows from `first` on.
    fn marked(&self, first: usize) -> Marked<'_> {
        match self.is_all {
            true => Marked::All,
            false => {
                let first = self.truths.offset() + first;
                Marked::Bits { bytes: self.truths.values(), first }
            }
        }
    }
}

struct Paths {
    schema: SchemaRef,
    paths: EventPaths,
    names: LabelNames,
}

impl Folding for Paths {
    fn add(&mut self, rows: &CustomerRows<'_>) -> Result<()> {
        let columns = rows.batch.columns();
        let ts = steps(&columns[1])?;
        let names = self.names.of_events(&columns[2], &ts, self.paths.names());
        if self.paths.names().len() > NAMES_MAX {
            return exec_err!(
                "event_paths takes steps of at most {NAMES_MAX} distinct names; \
                 name fewer of them, or group them in `step`"
            );
        }
        let [begins, ends] = [3, 4].map(|column: usize| Condition::of(&columns[column]));
        for range in &rows.ranges {
            if !range.continues {
                self.paths.begin_customer();
            }
            let (rows, first) = (range.rows.clone(), range.rows.start);
            let (begins, ends) = (begins.marked(first), ends.marked(first));
            self.paths.observe_rows(&ts.values()[rows.clone()], &names[rows], begins, ends);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.paths.size()
    }

    fn finish(self: Box<Self>) -> Result<RecordBatch> {
        let taken = self.paths.finish();
        let mut columns = Vec::<ArrayRef>::new();
        for step in 0..self.schema.fields().len() - 2 {
            let names = taken.iter().map(|path| path.steps[step].as_str());
            columns.push(Arc::new(StringArray::from_iter_values(names)));
        }
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let times = taken.iter().map(|path| count(path.times));
        columns.push(Arc::new(Int64Array::from_iter_values(times)));
        let customers = taken.iter().map(|path| count(path.customers));
        columns.push(Arc::new(Int64Array::from_iter_values(customers)));
        Ok(RecordBatch::try_new(self.schema, columns)?)
    }
}
