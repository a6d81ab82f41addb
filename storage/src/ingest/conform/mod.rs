//! Rows of any shape become events, or are rejected with a reason.
//!
//! Columns are found by name. Those of [`event`](crate::event) and the identifier namespaces are
//! brought to their types, see [`time`], [`decimal`] and [`text`]; all others become members of
//! `properties`. A row that cannot be understood is rejected alone, never its batch.

mod decimal;
mod faults;
mod json;
mod json_scan;
mod members;
mod properties;
mod text;
mod time;

use self::faults::Faults;
use self::time::MissingTime;
use super::RejectedRow;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::event;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array,
    new_null_array,
};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Brings batches to the columns of an event.
#[derive(Clone, Debug)]
pub(crate) struct Conformer {
    schema: SchemaRef,
    namespaces: BTreeSet<String>,
    received_at_us: i64,
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Conformed {
    /// The events: the columns of a data file but `identifier_id`; `event_id` may be NULL.
    pub(crate) events: RecordBatch,
    /// The rows that could not be understood.
    pub(crate) rejected: Vec<RejectedRow>,
}

impl Conformer {
    /// For the namespaces of this catalog; rows without `received_at` get this time.
    pub(crate) fn new(catalog: &Catalog, received_at: DateTime<Utc>) -> Self {
        let names = || catalog.namespaces.iter().map(|namespace| namespace.name.as_str());
        let fields: Vec<Field> = event::file_schema(names())
            .fields()
            .iter()
            .filter(|field| field.name() != event::IDENTIFIER_ID)
            .map(|field| {
                let may_be_null = field.is_nullable() || field.name() == event::EVENT_ID;
                field.as_ref().clone().with_nullable(may_be_null)
            })
            .collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            namespaces: names().map(str::to_owned).collect(),
            received_at_us: received_at.timestamp_micros(),
        }
    }

    /// Checks the columns of a batch as such.
    ///
    /// # Errors
    /// Those of [`Conformer::conform`].
    pub(crate) fn check(schema: &SchemaRef) -> Result<()> {
        check_columns(schema)
    }

    /// Brings a batch to events. Its first row has this number in the source.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the columns as such are wrong: no `ts` or no `event`, one that is
    /// computed and not taken in, or two of one name.
    pub(crate) fn conform(&self, batch: &RecordBatch, first_row: u64) -> Result<Conformed> {
        check_columns(batch.schema_ref())?;
        let batch = &with_typed_nulls(batch)?;
        let mut faults = Faults::default();
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| self.column(batch, field, &mut faults))
            .collect::<Result<Vec<_>>>()?;
        let reasons = faults.into_reasons();
        let rejected = rejected_rows(batch, first_row, &reasons)?;
        let failed = |error| Error::Arrow {
            during: "putting the columns of events together".into(),
            source: Arc::new(error),
        };
        // Faulty rows may hold NULL where none is allowed: let them go before that is checked.
        let loose = self.schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        let loose = Arc::new(Schema::new(loose.collect::<Vec<_>>()));
        let events = RecordBatch::try_new(loose, columns).map_err(failed)?;
        let events = match reasons.is_empty() {
            true => events,
            false => {
                let is_good = (0..batch.num_rows()).map(|row| !reasons.contains_key(&row));
                let is_good = BooleanArray::from(is_good.collect::<Vec<_>>());
                filter_record_batch(&events, &is_good).map_err(failed)?
            }
        };
        let (_, columns, _) = events.into_parts();
        let events = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)?;
        Ok(Conformed { events, rejected })
    }

    fn column(&self, batch: &RecordBatch, field: &Field, faults: &mut Faults) -> Result<ArrayRef> {
        let name = field.name().as_str();
        let given = batch.column_by_name(name);
        if name == event::PROPERTIES {
            return properties::properties(given, &self.others(batch)?, faults);
        }
        let Some(given) = given else {
            let rows = batch.num_rows();
            return Ok(match name {
                event::RECEIVED_AT => self.received_at(rows),
                _ => new_null_array(field.data_type(), rows),
            });
        };
        match name {
            event::TS => time::timestamps(given, name, MissingTime::Reject, faults),
            event::RECEIVED_AT => {
                let fill = MissingTime::Fill(self.received_at_us);
                time::timestamps(given, name, fill, faults)
            }
            event::AMOUNT | event::QUANTITY => decimal::decimals(given, name, faults),
            event::EVENT => {
                let names = text::labels(given, name, faults)?;
                reject_unnamed(&names, faults);
                Ok(names)
            }
            label if event::LABELS.contains(&label) => text::labels(given, name, faults),
            _ => text::texts(given, name, faults),
        }
    }

    fn received_at(&self, rows: usize) -> ArrayRef {
        let same = std::iter::repeat_n(self.received_at_us, rows);
        let array = arrow::array::TimestampMicrosecondArray::from_iter_values(same);
        Arc::new(array.with_timezone("UTC"))
    }

    /// The columns that have no place of their own.
    fn others(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let is_other = |&place: &usize| {
            let name = batch.schema_ref().field(place).name();
            !self.namespaces.contains(name) && self.schema.index_of(name).is_err()
        };
        let places: Vec<usize> = (0..batch.num_columns()).filter(is_other).collect();
        let columns = places.iter().map(|&place| Arc::clone(batch.column(place))).collect();
        let fields: Vec<Field> = places
            .iter()
            .map(|&place| batch.schema_ref().field(place).clone().with_nullable(true))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
            .map_err(|error| Error::Internal(format!("columns make no batch: {error}")))
    }
}

/// A column that never held a value has a type of its own in Arrow, whose values do not say that
/// they are NULL; as text they do.
fn with_typed_nulls(batch: &RecordBatch) -> Result<RecordBatch> {
    let is_untyped = |field: &Field| *field.data_type() == DataType::Null;
    if !batch.schema_ref().fields().iter().any(|field| is_untyped(field)) {
        return Ok(batch.clone());
    }
    let rows = batch.num_rows();
    let typed = batch.schema_ref().fields().iter().zip(batch.columns());
    let typed = typed.map(|(field, column)| match is_untyped(field) {
        true => (
            field.as_ref().clone().with_data_type(DataType::Utf8).with_nullable(true),
            new_null_array(&DataType::Utf8, rows),
        ),
        false => (field.as_ref().clone(), Arc::clone(column)),
    });
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = typed.unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| Error::Internal(format!("typed columns make no batch: {error}")))
}

fn check_columns(schema: &SchemaRef) -> Result<()> {
    let mut names = BTreeSet::new();
    for field in schema.fields() {
        let name = field.name().as_str();
        if !names.insert(name) {
            return Err(Error::invalid("input", format!("column {name:?} is there twice")));
        }
        if name == event::CUSTOMER_ID || name == event::IDENTIFIER_ID {
            return Err(Error::invalid(
                format!("column {name:?}"),
                "it is computed and cannot be taken in; \
                 name a column of your own customer numbers user_id",
            ));
        }
    }
    for wanted in [event::TS, event::EVENT] {
        if !names.contains(wanted) {
            let there: Vec<&str> = names.into_iter().collect();
            let there = there.join(", ");
            let reason = format!("column {wanted:?} is missing. columns={there}");
            return Err(Error::invalid("input", reason));
        }
    }
    Ok(())
}

fn reject_unnamed(names: &ArrayRef, faults: &mut Faults) {
    let names = names.as_dictionary::<Int32Type>();
    let values = names.values().as_string::<i32>();
    let is_empty: Vec<bool> =
        values.iter().map(|name| name.is_none_or(|name| name.trim().is_empty())).collect();
    if names.null_count() == 0 && !is_empty.contains(&true) {
        return;
    }
    for row in 0..names.len() {
        if names.key(row).is_none_or(|key| is_empty.get(key).is_none_or(|&empty| empty)) {
            faults.add(row, || "event is missing".into());
        }
    }
}

fn rejected_rows(
    batch: &RecordBatch,
    first_row: u64,
    reasons: &BTreeMap<usize, String>,
) -> Result<Vec<RejectedRow>> {
    if reasons.is_empty() {
        return Ok(Vec::new());
    }
    let rows = UInt64Array::from_iter_values(reasons.keys().map(|&row| row as u64));
    let rows = take_record_batch(batch, &rows).map_err(|error| Error::Arrow {
        during: "picking rejected rows".into(),
        source: Arc::new(error),
    })?;
    let raw = json::objects(&rows)?;
    Ok(reasons
        .iter()
        .zip(raw)
        .map(|((&row, reason), raw)| RejectedRow {
            row: first_row + row as u64,
            reason: reason.clone(),
            raw,
        })
        .collect())
}

#[cfg(test)]
mod tests;
