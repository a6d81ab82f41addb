//! What goes over the wire: types that every client knows, in messages of a bounded size.
//!
//! The engine computes with views and dictionaries; drivers in Java and JavaScript read neither.
//! So answers are sent as plain text and binary columns, and dictionaries only to a session that
//! asked for them. The schema of a FlightInfo is made by the same function as that of the stream.

use crate::flight::stream::FlightStream;
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use tonic::Status;

/// A message is cut before it grows beyond this: clients take four MiB unless told otherwise.
const MESSAGE_BYTES_TARGET: usize = 2 << 20;

/// Whether dictionary columns are sent as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dictionaries {
    /// As the values that they stand for.
    #[default]
    Expanded,
    /// As dictionaries.
    Kept,
}

/// How answers are encoded for a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WireOptions {
    pub(super) dictionaries: Dictionaries,
    /// Compression of the Arrow buffers.
    pub(super) compression: Option<CompressionType>,
}

/// The schema that a client sees for an answer of this schema.
pub(super) fn wire_schema(schema: &Schema, dictionaries: Dictionaries) -> SchemaRef {
    let fields = wire_fields(schema.fields(), dictionaries);
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn wire_fields(fields: &Fields, dictionaries: Dictionaries) -> Fields {
    fields.iter().map(|field| wire_field(field, dictionaries)).collect()
}

fn wire_field(field: &FieldRef, dictionaries: Dictionaries) -> FieldRef {
    let data_type = wire_type(field.data_type(), dictionaries);
    if &data_type == field.data_type() {
        return field.clone();
    }
    let plain = Field::new(field.name(), data_type, field.is_nullable());
    Arc::new(plain.with_metadata(field.metadata().clone()))
}

fn wire_type(data_type: &DataType, dictionaries: Dictionaries) -> DataType {
    let inner = |field: &FieldRef| wire_field(field, dictionaries);
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(key, value) => match dictionaries {
            Dictionaries::Expanded => wire_type(value, dictionaries),
            Dictionaries::Kept => {
                DataType::Dictionary(key.clone(), Box::new(wire_type(value, dictionaries)))
            }
        },
        DataType::List(field) | DataType::ListView(field) => DataType::List(inner(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => {
            DataType::LargeList(inner(field))
        }
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(inner(field), *size),
        DataType::Struct(fields) => DataType::Struct(wire_fields(fields, dictionaries)),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type(), dictionaries),
        other => other.clone(),
    }
}

/// The batch in the types of the wire.
pub(super) fn to_wire(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let convert = |(column, field): (&ArrayRef, &FieldRef)| match column.data_type() {
        same if same == field.data_type() => Ok(column.clone()),
        _ => cast(column, field.data_type()),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(convert);
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

/// Slices of about [`MESSAGE_BYTES_TARGET`] each, by the bytes that the rows really have: the
/// encoder's own count takes a slice for as large as the buffers behind it.
fn pieces(batch: &RecordBatch) -> Vec<RecordBatch> {
    let bytes: usize = batch.columns().iter().map(bytes_of).sum();
    let count = bytes.div_ceil(MESSAGE_BYTES_TARGET).max(1);
    let rows = batch.num_rows().div_ceil(count).max(1);
    let starts = (0..batch.num_rows()).step_by(rows);
    starts.map(|start| batch.slice(start, rows.min(batch.num_rows() - start))).collect()
}

fn bytes_of(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
}

/// Encodes rows as they come; a schema is sent even when none come.
pub(super) fn encode<S>(rows: S, schema: &SchemaRef, options: WireOptions) -> FlightStream
where
    S: Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
{
    let wire = wire_schema(schema, options.dictionaries);
    let target = wire.clone();
    let converted = rows.map(move |batch| -> Result<Vec<RecordBatch>, FlightError> {
        let batch = to_wire(&batch?, &target)?;
        Ok(pieces(&batch))
    });
    let single = converted.flat_map(|pieces| match pieces {
        Ok(pieces) => stream::iter(pieces.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
    });
    let handling = match options.dictionaries {
        Dictionaries::Expanded => DictionaryHandling::Hydrate,
        Dictionaries::Kept => DictionaryHandling::Resend,
    };
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(wire)
        .with_options(ipc_options(options.compression))
        .with_max_flight_data_size(usize::MAX)
        .with_dictionary_handling(handling);
    Box::pin(encoder.build(single).map_err(Status::from))
}

fn ipc_options(compression: Option<CompressionType>) -> IpcWriteOptions {
    let plain = IpcWriteOptions::default();
    // Only an unknown metadata version is refused; what is not compressed is still right.
    plain.try_with_compression(compression).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int64Array, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    fn batch() -> RecordBatch {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let labels: DictionaryArray<Int32Type> = vec!["x", "x"].into_iter().collect();
        RecordBatch::try_from_iter_with_nullable(vec![
            ("view", views, true),
            ("label", Arc::new(labels) as ArrayRef, false),
        ])
        .unwrap()
    }

    #[test]
    fn views_and_dictionaries_become_plain_text() {
        let batch = batch();
        let schema = wire_schema(&batch.schema(), Dictionaries::Expanded);
        assert!(schema.fields().iter().all(|field| field.data_type() == &DataType::Utf8));
        assert!(schema.field(0).is_nullable() && !schema.field(1).is_nullable());
        let sent = to_wire(&batch, &schema).unwrap();
        let labels = sent.column(1).as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!(labels.value(1), "x");
    }

    #[test]
    fn dictionaries_stay_for_who_asks() {
        let schema = wire_schema(&batch().schema(), Dictionaries::Kept);
        assert!(matches!(schema.field(1).data_type(), DataType::Dictionary(..)));
    }

    #[test]
    fn nested_views_are_found() {
        let item = Arc::new(Field::new_list_field(DataType::Utf8View, true));
        let nested = DataType::LargeList(item);
        let expected = DataType::LargeList(Arc::new(Field::new_list_field(DataType::Utf8, true)));
        assert_eq!(wire_type(&nested, Dictionaries::Expanded), expected);
    }

    #[test]
    fn a_slice_of_a_large_batch_is_one_small_message() {
        let large: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000_000));
        let large = RecordBatch::try_from_iter([("n", large)]).unwrap();
        assert_eq!(pieces(&large).len(), 4);
        assert_eq!(pieces(&large.slice(10, 1000)).len(), 1);
        let rows: usize = pieces(&large).iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 1_000_000);
    }
}
