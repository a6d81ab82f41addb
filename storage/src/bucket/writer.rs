//! Writing one object in parts, in bounded memory, and knowing its checksum at the end.

use super::{in_time, location_of, store_error};
use crate::error::{Error, Result};
use crate::log::action::ObjectRef;
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::errors::ParquetError;
use std::sync::Arc;

/// Objects smaller than this are written with one call; larger ones in parts of this size, which
/// is above the least size of a part on every cloud store.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// A new object that is being written. Nothing can be read of it before
/// [`ObjectWriter::finish`] returns; dropped earlier, it leaves nothing that anybody names.
#[derive(Debug)]
pub struct ObjectWriter {
    store: Arc<dyn ObjectStore>,
    path: String,
    buffer: BytesMut,
    upload: Option<Box<dyn MultipartUpload>>,
    checksum: crc32fast::Hasher,
    bytes: u64,
}

impl ObjectWriter {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: &str) -> Self {
        Self {
            store,
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
            self.put_whole(rest).await?;
        } else {
            if !rest.is_empty() {
                self.put_part(rest).await?;
            }
            if let Some(upload) = &mut self.upload {
                in_time(upload.complete())
                    .await
                    .map_err(|error| self.failed(error))?;
            }
        }
        let crc32 = self.checksum.clone().finalize();
        Ok(ObjectRef {
            path: self.path,
            bytes: self.bytes,
            crc32,
        })
    }

    async fn put_whole(&mut self, bytes: Bytes) -> Result<()> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let location = location_of(&self.path);
        in_time(self.store.put_opts(&location, bytes.into(), options))
            .await
            .map_err(|error| self.failed(error))?;
        Ok(())
    }

    async fn put_part(&mut self, part: Bytes) -> Result<()> {
        if self.upload.is_none() {
            let location = location_of(&self.path);
            let upload = in_time(self.store.put_multipart(&location)).await;
            self.upload = Some(upload.map_err(|error| self.failed(error))?);
        }
        let Some(upload) = &mut self.upload else {
            return Err(Error::Internal("an upload was not begun".into()));
        };
        let part = upload.put_part(part.into());
        in_time(part).await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: object_store::Error) -> Error {
        store_error("write", &self.path, error)
    }
}

/// So that [`parquet::arrow::AsyncArrowWriter`] writes into it; give it `&mut ObjectWriter` and
/// call [`ObjectWriter::finish`] afterwards.
impl AsyncFileWriter for &mut ObjectWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, parquet::errors::Result<()>> {
        self.append(bytes)
            .map(|done| done.map_err(external))
            .boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, parquet::errors::Result<()>> {
        futures::future::ready(Ok(())).boxed()
    }
}

fn external(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
