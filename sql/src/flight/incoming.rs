//! Record batches that a client sends: values of parameters, and events.

use crate::flight::status::{internal, shortened, unreadable};
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::{MessageHeader, root_as_message};
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::{Stream, StreamExt, TryStreamExt};
use std::sync::Arc;
use tonic::Status;

/// What one message may unpack to: its buffers tell their size before they are unpacked, and a few
/// bytes can claim any.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// The rows of parameters that one statement runs over.
const BOUND_ROWS_MAX: usize = 1 << 20;
const BOUND_BYTES_MAX: usize = 256 << 20;

/// The batches of a stream, and their schema, which comes first.
pub(super) struct Incoming {
    pub(super) schema: SchemaRef,
    /// What has been read of it so far to know the schema.
    first: Option<RecordBatch>,
    rest: FlightRecordBatchStream,
}

impl Incoming {
    /// Reads up to the schema; a stream without one has no columns and no rows.
    pub(super) async fn open<S>(messages: S) -> Result<Self, Status>
    where
        S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
    {
        let checked = messages.map(|message| {
            let message = message?;
            ensure_honest(&message)?;
            Ok::<_, FlightError>(message)
        });
        // The message with the command comes first; some clients send it without a schema.
        let checked = checked
            .try_skip_while(|message| futures::future::ready(Ok(message.data_header.is_empty())));
        let mut rest = FlightRecordBatchStream::new_from_flight_data(checked);
        let first = rest.try_next().await.map_err(refused)?;
        let schema = rest.schema().cloned().unwrap_or_else(|| Arc::new(Schema::empty()));
        Ok(Self { schema, first, rest })
    }

    /// The next batch.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>, Status> {
        match self.first.take() {
            Some(batch) => Ok(Some(batch)),
            None => self.rest.try_next().await.map_err(refused),
        }
    }

    /// All batches as one, for the values of parameters.
    pub(super) async fn values(mut self) -> Result<RecordBatch, Status> {
        let (mut rows, mut bytes) = (0, 0);
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            if rows > BOUND_ROWS_MAX || bytes > BOUND_BYTES_MAX {
                let message = format!(
                    "at most {BOUND_ROWS_MAX} rows of parameters and {BOUND_BYTES_MAX} bytes of \
                     them are taken at once; send several batches, or ingest"
                );
                return Err(Status::resource_exhausted(message));
            }
            batches.push(batch);
        }
        let values = concat_batches(&self.schema, &batches).map_err(internal)?;
        numbered(&values)
    }
}

/// The values under the names `$1`, `$2`, …: clients give any names, also the same one twice.
fn numbered(values: &RecordBatch) -> Result<RecordBatch, Status> {
    let named = values
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(place, field)| {
            let number = place + 1;
            Arc::new(field.as_ref().clone().with_name(format!("${number}")).with_nullable(true))
        })
        .collect::<Vec<_>>();
    let options = RecordBatchOptions::new().with_row_count(Some(values.num_rows()));
    let columns = values.columns().to_vec();
    RecordBatch::try_new_with_options(Arc::new(Schema::new(named)), columns, &options)
        .map_err(internal)
}

fn refused(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => unreadable("the stream of record batches", other),
    }
}

/// Refuses a message whose packed buffers claim more than [`UNPACKED_BYTES_MAX`].
fn ensure_honest(message: &FlightData) -> Result<(), Status> {
    match claimed_bytes(message) {
        Some(claimed) if claimed > UNPACKED_BYTES_MAX => {
            let message = format!("a message unpacks to {claimed} bytes, {UNPACKED_BYTES_MAX} may");
            Err(Status::resource_exhausted(shortened(&message)))
        }
        _ => Ok(()),
    }
}

/// What the packed buffers of a record batch or a dictionary say that they unpack to; `None` when
/// nothing is packed, or when the message is so broken that the decoder will say it.
fn claimed_bytes(message: &FlightData) -> Option<u64> {
    let header = root_as_message(&message.data_header).ok()?;
    let batch = match header.header_type() {
        MessageHeader::RecordBatch => header.header_as_record_batch()?,
        MessageHeader::DictionaryBatch => header.header_as_dictionary_batch()?.data()?,
        _ => return None,
    };
    batch.compression()?;
    let mut claimed = 0_u64;
    for buffer in batch.buffers()? {
        let start = usize::try_from(buffer.offset()).ok()?;
        if buffer.length() < 8 {
            continue;
        }
        let length = message.data_body.get(start..start.checked_add(8)?)?;
        let length = i64::from_le_bytes(length.try_into().ok()?);
        // -1 says that this buffer is not packed after all.
        claimed = claimed.saturating_add(u64::try_from(length.max(0)).unwrap_or(0));
    }
    Some(claimed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::wire::{WireOptions, encode};
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::ipc::CompressionType;

    #[tokio::test]
    async fn a_buffer_that_claims_too_much_is_refused_before_it_is_unpacked() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(vec![7; 10_000]));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let compression = Some(CompressionType::ZSTD);
        let options = WireOptions { compression, ..WireOptions::default() };
        let schema = batch.schema();
        let rows = futures::stream::iter([Ok(batch)]);
        let messages: Vec<_> = encode(rows, &schema, options).try_collect().await.unwrap();
        let mut message = messages[1].clone();
        assert_eq!(claimed_bytes(&message), Some(80_000));
        ensure_honest(&message).unwrap();
        let mut body = message.data_body.to_vec();
        let place = body.windows(8).position(|bytes| bytes == 80_000_i64.to_le_bytes()).unwrap();
        body[place..place + 8].copy_from_slice(&(1_i64 << 50).to_le_bytes());
        message.data_body = body.into();
        assert!(ensure_honest(&message).is_err());
    }
}
