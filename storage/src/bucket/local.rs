//! A local directory as an object store whose acknowledged writes survive a power cut.
//!
//! `object_store`'s own local store never fsyncs, so it is used for reading, listing and deleting
//! only. A write goes this way:
//!
//! 1. make the directories that are missing, and fsync the parent of each;
//! 2. write the bytes to `tmp/<uuid>`;
//! 3. fsync that file: its bytes are durable before anybody can see its name;
//! 4. hard-link it to its name, which fails when the name is taken: create-if-absent;
//! 5. remove `tmp/<uuid>`;
//! 6. fsync the directory of the name, and only then acknowledge.
//!
//! A crash before step 4 leaves an unfinished file in `tmp`, which garbage collection finds. A
//! crash between 4 and 6 leaves an object that nobody was told about.

use super::disk::{Disk, RealDisk};
use crate::layout;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// The name that stands in the errors of this store.
pub(crate) const NAME: &str = "local directory";

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct DurableLocalStore {
    reader: PrefixStore<LocalFileSystem>,
    writer: Arc<Writer>,
}

#[derive(Debug)]
struct Writer {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    /// Directories whose names are known to be durable.
    durable: Mutex<HashSet<PathBuf>>,
}

impl DurableLocalStore {
    /// A store in this directory, which is made by the first write.
    ///
    /// # Errors
    /// When the path cannot be made absolute.
    pub fn new(root: &std::path::Path) -> Result<Self> {
        Self::with_disk(root, Arc::new(RealDisk))
    }

    /// A store whose system calls somebody watches or breaks.
    ///
    /// # Errors
    /// When the path cannot be made absolute.
    pub fn with_disk(root: &std::path::Path, disk: Arc<dyn Disk>) -> Result<Self> {
        let root = std::path::absolute(root).map_err(|error| failed("find", root, &error))?;
        let prefix = Path::from_absolute_path(&root)?;
        let reader = PrefixStore::new(LocalFileSystem::new(), prefix);
        let durable = Mutex::new(HashSet::new());
        Ok(Self { reader, writer: Arc::new(Writer { root, disk, durable }) })
    }
}

impl Writer {
    fn file_of(&self, location: &Path) -> PathBuf {
        let mut file = self.root.clone();
        file.extend(location.parts().map(|part| part.as_ref().to_owned()));
        file
    }

    /// Steps 1 and 2, without any bytes.
    fn begin(&self) -> Result<(File, PathBuf)> {
        let folder = self.root.join(layout::TMP);
        self.ensure_directory(&folder).map_err(|error| failed("create", &folder, &error))?;
        let path = folder.join(Uuid::now_v7().to_string());
        let file = self.disk.create(&path).map_err(|error| failed("create", &path, &error))?;
        Ok((file, path))
    }

    /// Steps 3 to 6. The temporary file is gone afterwards, whatever happens.
    fn publish(
        &self,
        file: &File,
        temporary: &std::path::Path,
        target: &std::path::Path,
    ) -> Result<()> {
        let linked = self.link(file, temporary, target);
        let _ = self.disk.remove(temporary);
        // An object that another writer was faster to make must be as durable as one of our own
        // before anybody builds on it.
        if matches!(linked, Ok(()) | Err(Error::AlreadyExists { .. })) {
            let folder = parent_of(target);
            self.disk.sync_directory(folder).map_err(|error| failed("sync", folder, &error))?;
        }
        linked
    }

    fn link(
        &self,
        file: &File,
        temporary: &std::path::Path,
        target: &std::path::Path,
    ) -> Result<()> {
        self.disk.sync_file(file, temporary).map_err(|error| failed("sync", temporary, &error))?;
        let folder = parent_of(target);
        self.ensure_directory(folder).map_err(|error| failed("create", folder, &error))?;
        self.disk.link(temporary, target).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Error::AlreadyExists { path: target.display().to_string(), source: error.into() }
            }
            _ => failed("link", target, &error),
        })
    }

    /// Makes a directory durable, once per process. Another process may have made it and not yet
    /// have synced its parent, so finding it there is not enough; only what stood before the
    /// database did is taken for granted.
    fn ensure_directory(&self, folder: &std::path::Path) -> io::Result<()> {
        let is_ours = folder.starts_with(&self.root) && folder != self.root;
        if self.known_durable().contains(folder) || (!is_ours && folder.is_dir()) {
            return Ok(());
        }
        let parent = parent_of(folder);
        self.ensure_directory(parent)?;
        self.disk.create_directory(folder)?;
        self.disk.sync_directory(parent)?;
        self.known_durable().insert(folder.to_owned());
        Ok(())
    }

    fn known_durable(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, location: &Path, payload: &PutPayload) -> Result<()> {
        let target = self.file_of(location);
        let (mut file, temporary) = self.begin()?;
        let mut offset = 0;
        for bytes in payload {
            if let Err(error) = self.disk.write(&mut file, offset, bytes) {
                let _ = self.disk.remove(&temporary);
                return Err(failed("write", &temporary, &error));
            }
            offset += bytes.len() as u64;
        }
        self.publish(&file, &temporary, &target)
    }
}

impl std::fmt::Display for DurableLocalStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "DurableLocalStore({})", self.writer.root.display())
    }
}

#[async_trait]
impl ObjectStore for DurableLocalStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode != PutMode::Create {
            return Err(unsupported("overwriting"));
        }
        let (writer, location) = (Arc::clone(&self.writer), location.clone());
        blocking(move || writer.put(&location, &payload)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let writer = Arc::clone(&self.writer);
        let target = writer.file_of(location);
        let (file, temporary) = blocking(move || writer.begin()).await?;
        let file = Arc::new(Mutex::new(file));
        let writer = Arc::clone(&self.writer);
        Ok(Box::new(Upload { writer, file, temporary: Some(temporary), target, offset: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reader.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.reader.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.reader.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reader.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reader.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(unsupported("copying"))
    }
}

/// An object that is written in parts.
#[derive(Debug)]
struct Upload {
    writer: Arc<Writer>,
    file: Arc<Mutex<File>>,
    /// `None` once it is finished or given up.
    temporary: Option<PathBuf>,
    target: PathBuf,
    offset: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let mut offset = self.offset;
        self.offset += payload.content_length() as u64;
        let (writer, file) = (Arc::clone(&self.writer), Arc::clone(&self.file));
        let target = self.target.clone();
        Box::pin(blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            for bytes in &payload {
                writer
                    .disk
                    .write(&mut file, offset, bytes)
                    .map_err(|error| failed("write", &target, &error))?;
                offset += bytes.len() as u64;
            }
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let temporary = self.temporary.take().ok_or_else(|| unsupported("finishing twice"))?;
        let (writer, file) = (Arc::clone(&self.writer), Arc::clone(&self.file));
        let target = self.target.clone();
        blocking(move || {
            let file = file.lock().unwrap_or_else(PoisonError::into_inner);
            writer.publish(&file, &temporary, &target)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        if let Some(temporary) = self.temporary.take() {
            let writer = Arc::clone(&self.writer);
            blocking(move || {
                writer.disk.remove(&temporary).map_err(|error| failed("remove", &temporary, &error))
            })
            .await?;
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = self.writer.disk.remove(&temporary);
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

fn parent_of(path: &std::path::Path) -> &std::path::Path {
    path.parent().unwrap_or(path)
}

fn failed(operation: &str, path: &std::path::Path, error: &io::Error) -> Error {
    let text = format!("cannot {operation} {}: {error}", path.display());
    Error::Generic { store: NAME, source: Box::new(io::Error::new(error.kind(), text)) }
}

fn unsupported(what: &str) -> Error {
    Error::NotSupported { source: format!("{NAME}: {what} is not supported").into() }
}
