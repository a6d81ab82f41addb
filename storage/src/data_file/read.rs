//! Reading columns of a data file through the bucket.

use super::blocks::BlockChecksums;
use super::encode::parquet_error;
use super::index_object::IndexObject;
use super::members::{Members, is_member_column, with_texts};
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::event::{PROPERTIES, label_type};
use crate::log::action::{DataFile, ObjectRef};
use arrow::array::{ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;

/// Read with the footer, so that the metadata of most files needs one request.
const FOOTER_BYTES_GUESS: usize = 64 * 1024;
/// A file is read in pieces of this size when its checksum is compared.
const CHECK_BYTES: u64 = 8 << 20;

/// Gives Parquet's reader the ranges of one object that it asks for.
#[derive(Clone, Debug)]
pub(crate) struct BucketReader {
    bucket: Bucket,
    object: ObjectRef,
    /// What is read is compared with them, where there are any.
    checksums: Option<Arc<BlockChecksums>>,
}

impl BucketReader {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = &self.object.path;
        let Some(checksums) = &self.checksums else {
            return self.bucket.read_ranges(path, ranges).await;
        };
        let around = checksums.around(ranges);
        let parts = self.bucket.read_ranges(path, &around).await?;
        checksums.cut(path, ranges, &around, &parts)
    }
}

impl AsyncFileReader for BucketReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let mut parts = self.get_byte_ranges(vec![range]).await?;
            parts.pop().ok_or_else(|| ParquetError::EOF("no bytes came".into()))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            let parts = self.read(&ranges).await;
            let parts = parts.map_err(|error| ParquetError::External(Box::new(error)))?;
            let is_whole = |(part, range): (&Bytes, &Range<u64>)| {
                part.len() as u64 == range.end.saturating_sub(range.start)
            };
            if parts.len() != ranges.len() || !parts.iter().zip(&ranges).all(is_whole) {
                return Err(ParquetError::EOF("the store gave fewer bytes than asked".into()));
            }
            Ok(parts)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.object.bytes;
            let reader = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .with_prefetch_hint(Some(FOOTER_BYTES_GUESS));
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}

/// Opens the Parquet file of any object. What is read of it is not checked.
pub(crate) async fn open(
    bucket: &Bucket,
    object: &ObjectRef,
) -> Result<ParquetRecordBatchStreamBuilder<BucketReader>> {
    open_checked(bucket, object, None).await
}

/// Opens a data file with the checksums of its blocks, if it has any.
pub(crate) async fn open_checked(
    bucket: &Bucket,
    object: &ObjectRef,
    checksums: Option<Arc<BlockChecksums>>,
) -> Result<ParquetRecordBatchStreamBuilder<BucketReader>> {
    let (reader, metadata) = with_footer(bucket, object, checksums).await?;
    Ok(ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata))
}

/// Reads the footer of an object.
async fn with_footer(
    bucket: &Bucket,
    object: &ObjectRef,
    checksums: Option<Arc<BlockChecksums>>,
) -> Result<(BucketReader, ArrowReaderMetadata)> {
    let (bucket, object) = (bucket.clone(), object.clone());
    let mut reader = BucketReader { bucket, object, checksums };
    let metadata = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::default());
    let metadata = metadata.await.map_err(|error| read_error(&reader.object.path, error))?;
    Ok((reader, metadata))
}

/// A data file that is open to be read once.
pub struct DataFileReader {
    reader: BucketReader,
    metadata: ArrowReaderMetadata,
    members: Option<Members>,
}

/// Rows as they come out of a file.
pub type Batches = BoxStream<'static, Result<RecordBatch>>;

impl DataFileReader {
    /// Reads the footer.
    ///
    /// # Errors
    /// [`Error::Parquet`] or the bucket's error when the file is damaged.
    pub async fn open(bucket: &Bucket, file: &DataFile) -> Result<Self> {
        let checksums = IndexObject::read(bucket, file).await?.checksums.map(Arc::new);
        let (reader, metadata) = with_footer(bucket, &file.object, checksums).await?;
        let members = Members::of(metadata.schema());
        Ok(Self { reader, metadata, members })
    }

    /// The members of `properties` that have columns of their own.
    pub fn members(&self) -> Option<&Members> {
        self.members.as_ref()
    }

    /// Reads the columns of this schema, in batches of at most so many rows, in file order. Columns
    /// that the file is too old to have are NULL.
    ///
    /// # Errors
    /// The stream ends with [`Error::Parquet`] or the bucket's error when the file is damaged.
    pub fn columns(self, schema: SchemaRef, batch_rows: usize) -> Result<Batches> {
        let wants_texts = schema.field_with_name(PROPERTIES).is_ok();
        let Some(members) = self.members.clone().filter(|_| wants_texts) else {
            return self.stored_columns(schema, batch_rows);
        };
        let others = members.fields().map(Arc::new);
        let read = schema.fields().iter().cloned().chain(others).collect::<Vec<_>>();
        let path = self.path();
        let batches = self.stored_columns(Arc::new(Schema::new(read)), batch_rows)?;
        let joined = move |batch: Result<RecordBatch>| joined(&batch?, &schema, &members, &path);
        Ok(batches.map(joined).boxed())
    }

    /// Reads the columns of this schema as they are stored: `properties` has only the texts that
    /// are not held by columns of members. Such columns come as text or, where the schema says so,
    /// as labels.
    ///
    /// # Errors
    /// As [`DataFileReader::columns`].
    pub fn stored_columns(self, schema: SchemaRef, batch_rows: usize) -> Result<Batches> {
        let path = self.path();
        let Self { reader, metadata, .. } = self;
        let failed = |error| parquet_error(&path, error);
        let metadata = with_labels(metadata, &schema).map_err(failed)?;
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let wanted = schema.fields().iter().map(|field| field.name().as_str());
        let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
        let builder = builder.with_projection(mask).with_batch_size(batch_rows);
        let stream = builder.build().map_err(failed)?;
        let batches = stream.map(move |batch| {
            let batch = batch.map_err(|error| read_error(&path, error))?;
            with_schema(&batch, &schema, &path)
        });
        Ok(batches.boxed())
    }

    fn path(&self) -> String {
        self.reader.object.path.clone()
    }
}

/// The same, reading those members as labels that are labels in this schema.
fn with_labels(
    metadata: ArrowReaderMetadata,
    wanted: &Schema,
) -> parquet::errors::Result<ArrowReaderMetadata> {
    let is_label = |field: &Field| {
        is_member_column(field.name())
            && wanted.field_with_name(field.name()).is_ok_and(|f| *f.data_type() == label_type())
    };
    let stored = metadata.schema();
    if !stored.fields().iter().any(|field| is_label(field)) {
        return Ok(metadata);
    }
    let fields = stored.fields().iter().map(|field| match is_label(field) {
        true => Arc::new(field.as_ref().clone().with_data_type(label_type())),
        false => Arc::clone(field),
    });
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), stored.metadata().clone());
    let options = ArrowReaderOptions::default().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
}

/// The batch with the texts of `properties` put together.
fn joined(
    batch: &RecordBatch,
    schema: &SchemaRef,
    members: &Members,
    path: &str,
) -> Result<RecordBatch> {
    let text = |name: &str| {
        let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.cloned().ok_or_else(|| Error::corrupt(path, format!("{name} is no text")))
    };
    let columns =
        members.iter().map(|member| text(&member.column())).collect::<Result<Vec<_>>>()?;
    let texts: ArrayRef = Arc::new(members.join(&text(PROPERTIES)?, &columns)?);
    let columns = with_texts(batch, &texts).take(schema.fields().len());
    RecordBatch::try_new(Arc::clone(schema), columns.collect())
        .map_err(|error| Error::corrupt(path, format!("columns are not as wanted: {error}")))
}

/// Reads the columns of this schema; see [`DataFileReader::columns`].
///
/// # Errors
/// As [`DataFileReader::open`] and [`DataFileReader::columns`].
pub async fn read_columns(
    bucket: &Bucket,
    file: &DataFile,
    schema: SchemaRef,
    batch_rows: usize,
) -> Result<Batches> {
    DataFileReader::open(bucket, file).await?.columns(schema, batch_rows)
}

/// The columns of this schema in its order; those that are missing are NULL.
pub(crate) fn with_schema(
    batch: &RecordBatch,
    schema: &SchemaRef,
    path: &str,
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), rows),
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|error| Error::corrupt(path, format!("columns are not as wanted: {error}")))
}

/// The fields of these names.
pub(crate) fn projected(schema: &SchemaRef, names: &[&str]) -> SchemaRef {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .filter(|field| names.contains(&field.name().as_str()))
        .cloned()
        .collect();
    Arc::new(Schema::new(fields))
}

/// Compares length and checksum of an object with its reference, in bounded memory. Whoever
/// rewrites a file does this first: else damage would be given a new, valid checksum.
pub(crate) async fn check(bucket: &Bucket, object: &ObjectRef) -> Result<()> {
    let mut hasher = crc32fast::Hasher::new();
    let mut start = 0;
    while start < object.bytes {
        let end = object.bytes.min(start + CHECK_BYTES);
        let piece = start..end;
        for part in bucket.read_ranges(&object.path, std::slice::from_ref(&piece)).await? {
            hasher.update(&part);
        }
        start = end;
    }
    let crc32 = hasher.finalize();
    if crc32 != object.crc32 {
        let reason = format!("checksum is {crc32:08x}, wanted {:08x}", object.crc32);
        return Err(Error::corrupt(&object.path, reason));
    }
    Ok(())
}

/// Brings out the bucket's own error when Parquet's reader only passes it on.
pub(crate) fn read_error(path: &str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => parquet_error(path, ParquetError::External(inner)),
        },
        error => parquet_error(path, error),
    }
}
