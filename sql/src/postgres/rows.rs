//! Answers as rows on the wire.

use crate::error::Error;
use crate::postgres::failure::{cancelled, failed, of_statement};
use crate::postgres::interruption::Interruption;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::FieldInfo;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::data::DataRow;
use futures::stream::BoxStream;
use futures::{StreamExt, future, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes that Postgres adds to the modifier of NUMERIC.
const NUMERIC_MODIFIER_BASE: i32 = 4;

/// Columns, and the rows as they are computed.
pub(super) struct Rows {
    pub(super) fields: Arc<Vec<FieldInfo>>,
    pub(super) rows: BoxStream<'static, PgWireResult<DataRow>>,
}

/// What runs, and may be interrupted.
pub(super) struct Running {
    pub(super) interruption: Interruption,
    pub(super) deadline: Option<(Instant, Duration)>,
}

impl Running {
    /// The result of the work, unless it is interrupted first; then the work is dropped.
    pub(super) async fn hold<T>(
        &mut self,
        work: impl Future<Output = PgWireResult<T>>,
    ) -> PgWireResult<T> {
        let deadline = self.deadline;
        tokio::select! {
            biased;
            _ = self.interruption.happened() => Err(cancelled()),
            error = missed(deadline) => Err(error),
            done = work => done,
        }
    }
}

/// The error of a deadline, when it comes.
async fn missed(deadline: Option<(Instant, Duration)>) -> PgWireError {
    match deadline {
        None => future::pending().await,
        Some((at, limit)) => {
            tokio::time::sleep_until(at).await;
            of_statement(&Error::TimedOut { limit }, "", 0)
        }
    }
}

/// The columns of an answer as clients are told.
pub(super) fn fields(schema: &Schema, format: &Format) -> PgWireResult<Vec<FieldInfo>> {
    let count = schema.fields().len();
    if let Format::Individual(formats) = format
        && formats.len() != count
    {
        let message = format!("{} formats came for {count} columns", formats.len());
        return Err(failed(super::failure::PROTOCOL_VIOLATION, message));
    }
    let travelling = travelling(schema);
    let fields = arrow_schema_to_pg_fields(&travelling, format, None)?;
    let sized = fields.into_iter().zip(travelling.fields()).map(|(field, arrow)| {
        let size = size_of(field.datatype());
        let modifier = match arrow.data_type() {
            DataType::Decimal128(precision, scale) => {
                (i32::from(*precision) << 16 | i32::from(*scale)) + NUMERIC_MODIFIER_BASE
            }
            _ => -1,
        };
        field.with_type_size(size).with_type_modifier(modifier)
    });
    Ok(sized.collect())
}

/// One column of texts, computed already.
pub(super) fn of_text(name: &str, values: Vec<Option<String>>) -> PgWireResult<Rows> {
    let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, true)]));
    let column: ArrayRef = Arc::new(StringArray::from(values));
    let batch = RecordBatch::try_new(schema.clone(), vec![column]).map_err(unencodable)?;
    let fields = Arc::new(fields(&schema, &Format::UnifiedText)?);
    let rows: Vec<_> = encode_recordbatch(fields.clone(), batch).collect();
    Ok(Rows { fields, rows: stream::iter(rows).boxed() })
}

/// The rows of an answer.
pub(super) fn of_answer(
    answer: SendableRecordBatchStream,
    format: &Format,
    running: Running,
) -> PgWireResult<Rows> {
    let fields = Arc::new(fields(&answer.schema(), format)?);
    let schema = Arc::new(travelling(&answer.schema()));
    let columns = fields.clone();
    let batches = stream::unfold(Some((answer, running)), |state| async {
        let (mut answer, mut running) = state?;
        let next = async { Ok(answer.next().await) };
        match running.hold(next).await {
            Ok(None) => None,
            Ok(Some(Ok(batch))) => Some((Ok(batch), Some((answer, running)))),
            Ok(Some(Err(error))) => Some((Err(of_statement(&error.into(), "", 0)), None)),
            Err(error) => Some((Err(error), None)),
        }
    });
    let rows = batches.flat_map(move |batch| {
        let travelling = batch.and_then(|batch| to_travel(&batch, &schema).map_err(unencodable));
        match travelling {
            Ok(batch) => stream::iter(encode_recordbatch(columns.clone(), batch)).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    });
    Ok(Rows { fields, rows: rows.boxed() })
}

fn unencodable(error: ArrowError) -> PgWireError {
    of_statement(&Error::from(datafusion::error::DataFusionError::from(error)), "", 0)
}

/// The types that go over the wire in place of those that Postgres does not know.
fn travelling(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| -> FieldRef {
        let travels = travelling_type(field.data_type());
        match &travels == field.data_type() {
            true => field.clone(),
            false => Arc::new(field.as_ref().clone().with_data_type(travels).with_nullable(true)),
        }
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn travelling_type(data_type: &DataType) -> DataType {
    match data_type {
        known if is_known(known) => known.clone(),
        DataType::Float16 => DataType::Float32,
        DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, value) => travelling_type(value),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
            if is_known(item.data_type()) =>
        {
            DataType::List(item.clone())
        }
        // Maps, structs, unions and the like: as text.
        _ => DataType::Utf8,
    }
}

/// Types that have a place in Postgres.
fn is_known(data_type: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal128, Float32, Float64, Int8, Int16,
        Int32, Int64, Interval, LargeBinary, LargeUtf8, Time32, Time64, Timestamp, UInt8, UInt16,
        UInt32, UInt64, Utf8, Utf8View,
    };
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
            | UInt64
            | Float32
            | Float64
            | Decimal128(..)
            | Utf8
            | LargeUtf8
            | Utf8View
            | Binary
            | LargeBinary
            | BinaryView
            | Date32
            | Date64
            | Time32(_)
            | Time64(_)
            | Timestamp(..)
            | Interval(_)
    )
}

fn to_travel(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match field.data_type() {
        same if same == column.data_type() => Ok(column.clone()),
        DataType::Utf8 => as_text(column),
        other => cast(column, other),
    });
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_, _>>()?, &options)
}

fn as_text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options)?;
    let nulls = column.logical_nulls();
    let texts = (0..column.len()).map(|row| {
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        (!is_null).then(|| formatter.value(row).to_string()).filter(|text| !text.is_empty())
    });
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// The width of a type's values; -1 when it varies.
fn size_of(data_type: &Type) -> i16 {
    match *data_type {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID | Type::REGCLASS | Type::REGTYPE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL => 16,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_does_not_know_travels_as_text() {
        let union = DataType::Union(
            [(0, Arc::new(Field::new("a", DataType::Int64, true)))].into_iter().collect(),
            arrow::datatypes::UnionMode::Sparse,
        );
        assert_eq!(travelling_type(&union), DataType::Utf8);
        assert_eq!(travelling_type(&DataType::Null), DataType::Utf8);
        let item = Arc::new(Field::new_list_field(DataType::Int64, true));
        let list = DataType::List(item.clone());
        assert_eq!(travelling_type(&DataType::LargeList(item)), list);
    }

    // If this fails, JDBC shows amounts with a wrong number of digits.
    #[test]
    fn numbers_tell_their_digits() {
        let schema = Schema::new(vec![Field::new("amount", DataType::Decimal128(18, 4), true)]);
        let fields = fields(&schema, &Format::UnifiedText).unwrap();
        assert_eq!(fields[0].datatype(), &Type::NUMERIC);
        assert_eq!(fields[0].type_modifier(), (18 << 16 | 4) + 4);
    }

    #[test]
    fn formats_are_counted() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        assert!(fields(&schema, &Format::Individual(vec![0, 1])).is_err());
        assert!(fields(&schema, &Format::UnifiedBinary).is_ok());
    }
}
