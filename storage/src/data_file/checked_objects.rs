//! An object store in which data files cannot be read without a look at their checksums.
//!
//! For a query engine that reads Parquet by itself: it asks for ranges and gets them from whole
//! blocks that were compared with the checksums in the file's index.

use crate::data_file::blocks::BlockChecksums;
use crate::error::Error;
use crate::log::action::DataFile;
use crate::snapshot::Snapshot;
use crate::store::Store;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetRange, GetResult, GetResultPayload,
    ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The name that stands in the errors of this store.
const NAME: &str = "checked data files";

/// The objects of a database, the data files of one snapshot checked.
#[derive(Debug)]
struct CheckedObjects {
    objects: Arc<dyn ObjectStore>,
    store: Store,
    snapshot: Arc<Snapshot>,
}

impl Store {
    /// The objects of this database, for a reader that brings its own Parquet: what it reads of the
    /// data files of this snapshot is compared with their checksums, block by block. Damage is an
    /// error, never a wrong row. Files that were written before there were such checksums are
    /// read as they are.
    pub fn checked_objects(&self, snapshot: &Arc<Snapshot>) -> Arc<dyn ObjectStore> {
        let objects = self.bucket().object_store();
        Arc::new(CheckedObjects { objects, store: self.clone(), snapshot: Arc::clone(snapshot) })
    }
}

impl CheckedObjects {
    /// The checksums of an object and its size, if it is a data file that has any.
    async fn checksums(&self, path: &str) -> Result<Option<(&DataFile, Arc<BlockChecksums>)>> {
        let Some(file) = self.snapshot.data_files.get(path) else {
            return Ok(None);
        };
        let checksums = self.store.block_checksums(file).await.map_err(refused)?;
        Ok(checksums.map(|checksums| (file, checksums)))
    }
}

#[async_trait]
impl ObjectStore for CheckedObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.objects.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        let checked = self.checksums(location.as_ref()).await?;
        let Some((file, checksums)) = checked.filter(|_| !options.head) else {
            return self.objects.get_opts(location, options).await;
        };
        let bytes = file.object.bytes;
        let range = match options.range.take() {
            None => 0..bytes,
            Some(GetRange::Bounded(range)) => range.start..range.end.min(bytes),
            Some(GetRange::Offset(start)) => start..bytes,
            Some(GetRange::Suffix(length)) => bytes.saturating_sub(length)..bytes,
        };
        let around = checksums.around(std::slice::from_ref(&range));
        options.range = around.first().cloned().map(GetRange::Bounded);
        let result = self.objects.get_opts(location, options).await?;
        let (meta, attributes) = (result.meta.clone(), result.attributes.clone());
        let part = result.bytes().await?;
        let parts =
            checksums.cut(&file.object.path, std::slice::from_ref(&range), &around, &[part]);
        let parts = parts.map_err(refused)?;
        let payload = futures::stream::iter(parts.into_iter().map(Ok)).boxed();
        Ok(GetResult { payload: GetResultPayload::Stream(payload), meta, range, attributes })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let Some((file, checksums)) = self.checksums(location.as_ref()).await? else {
            return self.objects.get_ranges(location, ranges).await;
        };
        let around = checksums.around(ranges);
        let parts = self.objects.get_ranges(location, &around).await?;
        checksums.cut(&file.object.path, ranges, &around, &parts).map_err(refused)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

impl fmt::Display for CheckedObjects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{NAME} of {}", self.objects)
    }
}

fn refused(error: Error) -> StoreError {
    StoreError::Generic { store: NAME, source: Box::new(error) }
}
