//! Writing one object in parts, in bounded memory, and knowing its checksum at the end.

use super::{Bucket, location_of, store_error};
use crate::error::{Error, Result};
use crate::log::action::ObjectRef;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{MultipartUpload, ObjectStoreExt};
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::errors::ParquetError;

/// Objects smaller than this are written with one call; larger ones in parts of this size, which
/// is above the least size of a part on every cloud store.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// A new object that is being written. Nothing can be read of it before
/// [`ObjectWriter::finish`] returns; dropped earlier, it leaves nothing that anybody names.
#[derive(Debug)]
pub struct ObjectWriter {
    bucket: Bucket,
    path: String,
    buffer: BytesMut,
    upload: Option<Box<dyn MultipartUpload>>,
    checksum: crc32fast::Hasher,
    bytes: u64,
}

impl ObjectWriter {
    pub(super) fn new(bucket: Bucket, path: &str) -> Self {
        Self {
            bucket,
            path: path.to_owned(),
            buffer: BytesMut::new(),
            upload: None,
            checksum: crc32fast::Hasher::new(),
            bytes: 0,
        }
    }

    /// The path that it will have.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How many bytes were given so far.
    pub fn bytes_written(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// [`Error::ObjectStore`].
    pub async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.checksum.update(&bytes);
        self.bytes += bytes.len() as u64;
        self.buffer.extend_from_slice(&bytes);
        while self.buffer.len() >= PART_BYTES {
            let part = self.buffer.split_to(PART_BYTES).freeze();
            self.put_part(part).await?;
        }
        Ok(())
    }

    /// Makes the object readable and durable.
    ///
    /// # Errors
    /// [`Error::ObjectStore`]; the object may be there all the same, and nothing names it.
    pub async fn finish(mut self) -> Result<ObjectRef> {
        let rest = std::mem::take(&mut self.buffer).freeze();
        if self.upload.is_none() {
            return self.bucket.put_new(&self.path, rest).await;
        }
        if !rest.is_empty() {
            self.put_part(rest).await?;
        }
        if let Some(upload) = &mut self.upload {
            let completed = self.bucket.in_time(upload.complete()).await;
            completed.map_err(|error| store_error("write", &self.path, error))?;
        }
        Ok(ObjectRef { path: self.path, bytes: self.bytes, crc32: self.checksum.finalize() })
    }

    /// Uploads one part. After an error there is no upload any more, and no object comes of it.
    async fn put_part(&mut self, part: Bytes) -> Result<()> {
        let mut upload = match self.upload.take() {
            Some(upload) => upload,
            None => begin(&self.bucket, &self.path).await?,
        };
        let uploaded = self.bucket.in_time(upload.put_part(part.into())).await;
        uploaded.map_err(|error| store_error("write", &self.path, error))?;
        self.upload = Some(upload);
        Ok(())
    }
}

async fn begin(bucket: &Bucket, path: &str) -> Result<Box<dyn MultipartUpload>> {
    let store = bucket.object_store();
    let begun = bucket.in_time(store.put_multipart(&location_of(path))).await;
    begun.map_err(|error| store_error("write", path, error))
}

/// So that [`parquet::arrow::AsyncArrowWriter`] writes into it; give it `&mut ObjectWriter` and
/// call [`ObjectWriter::finish`] afterwards.
impl AsyncFileWriter for &mut ObjectWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, parquet::errors::Result<()>> {
        self.append(bytes).map(|done| done.map_err(external)).boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, parquet::errors::Result<()>> {
        futures::future::ready(Ok(())).boxed()
    }
}

fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
