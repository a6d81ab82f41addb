//! Rows of a walk as record batches.

use crate::hot::HotColumn;
use crate::walk::files::LoadedFiles;
use crate::walk::output::{AllLabels, WalkColumn};
use crate::walk::runs::{Owner, Run};
use crate::walk::segments::Segments;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Decimal128Array, Int64Array,
    RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::Result;
use std::sync::Arc;

/// Makes batches of the columns of one walk.
pub(crate) struct BatchMaker {
    schema: SchemaRef,
    files: Arc<LoadedFiles>,
    columns: Vec<Source>,
}

/// How the values of a column are found.
enum Source {
    Customer,
    /// A number in each row that nobody looks at.
    Unread,
    Time(usize),
    Identifier(usize),
    Decimal(usize),
    /// A value for each label.
    PerLabel {
        column: usize,
        labels: Arc<AllLabels>,
        values: ArrayRef,
    },
    /// Whether something holds for each label; by part of the walk, then by code.
    Truth {
        column: usize,
        truths: Vec<Vec<bool>>,
    },
}

impl BatchMaker {
    /// `reads_customer`: whether the column of customers is looked at.
    pub(crate) fn new<'a>(
        schema: SchemaRef,
        files: Arc<LoadedFiles>,
        columns: impl Iterator<Item = &'a WalkColumn>,
        reads_customer: bool,
    ) -> Result<Self> {
        let mut known: Vec<(usize, Arc<AllLabels>)> = Vec::new();
        let mut labels_of = |column: usize| {
            let found = known.iter().find(|(of, _)| *of == column);
            found.map(|(_, labels)| labels.clone()).unwrap_or_else(|| {
                let labels = Arc::new(AllLabels::of(&files, column));
                known.push((column, labels.clone()));
                labels
            })
        };
        let columns = columns.map(|column| {
            Ok(match column {
                WalkColumn::Customer if !reads_customer => Source::Unread,
                WalkColumn::Customer => Source::Customer,
                WalkColumn::Time(column) => Source::Time(*column),
                WalkColumn::Identifier(column) => Source::Identifier(*column),
                WalkColumn::Decimal(column) => Source::Decimal(*column),
                WalkColumn::Label(column) => {
                    let labels = labels_of(*column);
                    let values = labels.values();
                    Source::PerLabel { column: *column, labels, values }
                }
                WalkColumn::OfLabel(of) => {
                    let labels = labels_of(of.column);
                    let values = labels.evaluate(of.expression.as_ref())?;
                    match values.as_boolean_opt().filter(|truths| truths.null_count() == 0) {
                        Some(truths) => {
                            Source::Truth { column: of.column, truths: labels.by_code(truths) }
                        }
                        None => Source::PerLabel { column: of.column, labels, values },
                    }
                }
            })
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { schema, files, columns })
    }

    pub(crate) fn batch(&self, segments: &Segments) -> Result<RecordBatch> {
        let mut places_of: Option<(usize, UInt32Array)> = None;
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (source, field) in self.columns.iter().zip(self.schema.fields()) {
            arrays.push(match source {
                Source::Customer => customers(segments),
                Source::Unread => Arc::new(Int64Array::from(vec![0; segments.rows])),
                Source::Time(column) => {
                    times(self.files.column(*column), segments, field.data_type())
                }
                Source::Identifier(column) => identifiers(self.files.column(*column), segments),
                Source::Decimal(column) => {
                    decimals(self.files.column(*column), segments, field.data_type())?
                }
                Source::Truth { column, truths } => Arc::new(BooleanArray::new(
                    bits(self.files.column(*column), truths, segments),
                    None,
                )),
                Source::PerLabel { column, labels, values } => {
                    // Columns of one label stand side by side: its places are found once.
                    if places_of.as_ref().is_none_or(|(of, _)| of != column) {
                        let places = labels.places(self.files.column(*column), &segments.runs);
                        places_of = Some((*column, places.into()));
                    }
                    match &places_of {
                        Some((_, places)) => per_label(values, places)?,
                        None => values.slice(0, 0),
                    }
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(segments.rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }
}

fn customers(segments: &Segments) -> ArrayRef {
    let has_nobody = segments.owners.iter().any(|(owner, _)| *owner == Owner::Nobody);
    if has_nobody {
        let rows = segments
            .owners
            .iter()
            .flat_map(|&(owner, rows)| std::iter::repeat_n(owner.customer_id(), rows as usize));
        return Arc::new(rows.collect::<Int64Array>());
    }
    let mut numbers = Vec::with_capacity(segments.rows);
    for &(owner, rows) in &segments.owners {
        if let Owner::Customer(customer) = owner {
            numbers.resize(numbers.len() + rows as usize, i64::from(customer));
        }
    }
    Arc::new(Int64Array::from(numbers))
}

fn slices(column: &[Option<Arc<HotColumn>>]) -> Vec<&[i64]> {
    column.iter().map(|file| file.as_ref().map_or(&[][..], |column| column.times())).collect()
}

fn times(column: &[Option<Arc<HotColumn>>], segments: &Segments, data_type: &DataType) -> ArrayRef {
    let one_run = match segments.runs.as_slice() {
        [run] => column[run.file as usize].as_ref().and_then(|column| column.times_of(run.range())),
        _ => None,
    };
    let times = one_run.unwrap_or_else(|| {
        let slices = slices(column);
        let mut times = Vec::with_capacity(segments.rows);
        for &run in &segments.runs {
            times.extend_from_slice(&slices[run.file as usize][run.range()]);
        }
        times.into()
    });
    let times = TimestampMicrosecondArray::new(times, None);
    match data_type {
        DataType::Timestamp(_, zone) => Arc::new(times.with_timezone_opt(zone.clone())),
        _ => Arc::new(times),
    }
}

fn identifiers(column: &[Option<Arc<HotColumn>>], segments: &Segments) -> ArrayRef {
    let value = |run: Run, row: usize| {
        let file = column[run.file as usize].as_ref()?;
        file.identifiers().get(row).map(|&identifier| i64::from(identifier))
    };
    let rows = segments.runs.iter().flat_map(|&run| run.range().map(move |row| value(run, row)));
    Arc::new(rows.collect::<Int64Array>())
}

fn decimals(
    column: &[Option<Arc<HotColumn>>],
    segments: &Segments,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let mut values = vec![0_i128; segments.rows];
    let mut present = BooleanBufferBuilder::new(segments.rows);
    let mut first = 0;
    for &run in &segments.runs {
        let rows = run.range();
        match column[run.file as usize].as_ref().and_then(|column| column.numbers()) {
            Some(numbers) => {
                let values = &mut values[first..first + rows.len()];
                numbers.for_each(rows.clone(), |row, value| values[row] = i128::from(value));
                present.append_packed_range(rows.clone(), numbers.present());
            }
            None => present.append_n(rows.len(), false),
        }
        first += rows.len();
    }
    let nulls = NullBuffer::new(present.finish());
    let values = Decimal128Array::new(values.into(), Some(nulls));
    Ok(Arc::new(values.with_data_type(data_type.clone())))
}

fn per_label(values: &ArrayRef, places: &UInt32Array) -> Result<ArrayRef> {
    Ok(take(values, places, None)?)
}

/// Whether something holds for the label of each row.
fn bits(
    column: &[Option<Arc<HotColumn>>],
    truths: &[Vec<bool>],
    segments: &Segments,
) -> BooleanBuffer {
    let mut found = Vec::with_capacity(segments.rows);
    for run in &segments.runs {
        let file = run.file as usize;
        if let Some(labels) = column[file].as_ref().and_then(|column| column.labels()) {
            labels.codes().translated(run.range(), &truths[file], &mut found);
        }
    }
    BooleanBuffer::collect_bool(found.len(), |row| found[row])
}
