//! The one layer through which every object is written and read.
//!
//! A [`Bucket`] is an object store seen from the root of one database, plus the promises that the
//! commit log stands on:
//!
//! 1. Objects are immutable: a name is written once, with create-if-absent, and never again.
//! 2. What was acknowledged survives a power cut. On a local directory that takes a store of our
//!    own (see [`local`]), because `object_store` never fsyncs.
//! 3. A call that never returns becomes an error, so that no commit hangs for ever.
//! 4. Whatever is read whole is compared with the length and the checksum that its reference holds.

mod counted;
mod disk;
mod environment;
pub mod local;
mod open;
mod probe;
mod writer;

pub use disk::{Disk, RealDisk};
pub use environment::{Environment, SystemEnvironment};
pub use writer::ObjectWriter;

use self::counted::CountedObjects;
use crate::error::{Error, Result};
use crate::frame::{self, FrameKind};
use crate::log::action::ObjectRef;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// A call of the store that takes longer than this counts as failed, outcome unknown. Longer than
/// the time that the clients of the cloud stores spend on their own retries.
const STORE_CALL_TIMEOUT: Duration = Duration::from_secs(240);

/// A place for one database: a directory, memory, or a prefix of an object store.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use habitue_storage::bucket::Bucket;
/// let bucket = Bucket::open("memory://").await?;
/// let object = bucket.put_new("catalog/x.json", "{}".into()).await?;
/// assert_eq!(bucket.read(&object).await?, "{}");
/// # Ok::<(), habitue_storage::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Bucket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<CountedObjects>,
    url: String,
    environment: Arc<dyn Environment>,
    safe_to_write: OnceCell<()>,
}

/// An object as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Path below the database's root.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, by the store's clock.
    pub last_modified: DateTime<Utc>,
}

impl Bucket {
    /// Opens a path, `file://`, `memory://`, or by feature `s3://`, `gs://`, `az://` with the
    /// credentials of the environment. A directory is made by the first write, not here.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] when this build cannot open such a place.
    pub async fn open(url: &str) -> Result<Self> {
        let (store, url) = open::store_of(url)?;
        Ok(Self::with_store(store, &url))
    }

    /// A bucket over any object store whose root is the database's root.
    pub fn with_store(store: Arc<dyn ObjectStore>, url: &str) -> Self {
        Self::with_environment(store, url, Arc::new(SystemEnvironment))
    }

    /// A bucket whose time and UUIDs come from the caller.
    pub fn with_environment(
        store: Arc<dyn ObjectStore>,
        url: &str,
        environment: Arc<dyn Environment>,
    ) -> Self {
        let safe_to_write = OnceCell::new();
        let store = Arc::new(CountedObjects::new(store));
        Self { inner: Arc::new(Inner { store, url: url.to_owned(), environment, safe_to_write }) }
    }

    /// Where it is, for people.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// The store itself, its root at the database's root. For reading data files by ranges; writes
    /// go through this type.
    pub fn object_store(&self) -> Arc<dyn ObjectStore> {
        self.inner.store.clone()
    }

    /// How many bytes of objects were read since this bucket was opened, by whoever has it.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use habitue_storage::bucket::Bucket;
    /// let bucket = Bucket::open("memory://").await?;
    /// let object = bucket.put_new("catalog/x.json", "{}".into()).await?;
    /// bucket.read(&object).await?;
    /// assert_eq!(bucket.bytes_read(), 2);
    /// # Ok::<(), habitue_storage::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn bytes_read(&self) -> u64 {
        self.inner.store.bytes_read()
    }

    /// A UUID for the name of a new object, see [`layout`](crate::layout).
    pub fn new_uuid(&self) -> Uuid {
        self.inner.environment.new_uuid()
    }

    /// The time of this machine, which stamps commits.
    pub fn local_now(&self) -> DateTime<Utc> {
        self.inner.environment.now()
    }

    /// Checks, once per bucket, that the store refuses to write a name twice.
    ///
    /// # Errors
    /// [`Error::UnsafeStore`] when it does not: two writers would overwrite each other's commits.
    pub async fn ensure_safe_to_write(&self) -> Result<()> {
        self.inner.safe_to_write.get_or_try_init(|| probe::create_is_exclusive(self)).await?;
        Ok(())
    }

    /// The store's clock: when it says that an object was written that is written just now.
    ///
    /// # Errors
    /// When the store cannot be written to.
    pub async fn now(&self) -> Result<DateTime<Utc>> {
        probe::clock(self).await
    }

    /// Writes a new object, durable when this returns. The name must be unique; see
    /// [`layout`](crate::layout).
    ///
    /// # Errors
    /// [`Error::ObjectStore`] when the store fails, also when other bytes have this name.
    pub async fn put_new(&self, path: &str, bytes: Bytes) -> Result<ObjectRef> {
        let object = reference_to(path, &bytes);
        match self.create(path, bytes.clone()).await {
            Ok(()) => Ok(object),
            // Store clients repeat a request whose answer got lost, and meet their own write.
            Err(StoreError::AlreadyExists { .. }) if self.holds(path, &bytes).await => Ok(object),
            Err(error) => Err(store_error("write", path, error)),
        }
    }

    /// Writes a new object closed by a trailer with length and checksum, see [`frame`].
    ///
    /// # Errors
    /// Like [`Bucket::put_new`].
    pub async fn put_framed(
        &self,
        kind: FrameKind,
        path: &str,
        payload: &[u8],
    ) -> Result<ObjectRef> {
        self.put_new(path, frame::seal(kind, payload).into()).await
    }

    /// Starts a new object that is written in parts, for Parquet files.
    ///
    /// # Errors
    /// [`Error::ObjectStore`] when the store fails.
    pub async fn writer(&self, path: &str) -> Result<ObjectWriter> {
        Ok(ObjectWriter::new(self.clone(), path))
    }

    /// Reads a whole object and checks its length and checksum.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Corrupt`], or [`Error::ObjectStore`].
    pub async fn read(&self, object: &ObjectRef) -> Result<Bytes> {
        let path = &object.path;
        let bytes = self
            .get(path, Some(object.bytes))
            .await?
            .ok_or_else(|| Error::Missing { path: path.clone() })?;
        ensure_is(object, bytes.len() as u64, crc32fast::hash(&bytes))?;
        Ok(bytes)
    }

    /// Reads a whole framed object, checks it, and gives its payload.
    ///
    /// # Errors
    /// Like [`Bucket::read`], and when the frame is damaged or of another kind.
    pub async fn read_framed(&self, kind: FrameKind, object: &ObjectRef) -> Result<Bytes> {
        self.read_framed_as(kind, object).await.map(|(_, payload)| payload)
    }

    /// The same, with the format that the payload has.
    ///
    /// # Errors
    /// Like [`Bucket::read_framed`].
    pub async fn read_framed_as(
        &self,
        kind: FrameKind,
        object: &ObjectRef,
    ) -> Result<(u32, Bytes)> {
        frame::open_as(kind, &object.path, self.read(object).await?)
    }

    /// Reads a whole object piece by piece and checks its length and checksum, in the memory of
    /// one piece.
    ///
    /// # Errors
    /// Like [`Bucket::read`].
    pub async fn check(&self, object: &ObjectRef) -> Result<()> {
        let path = &object.path;
        let location = location_of(path);
        let found = self.in_time(self.inner.store.get_opts(&location, GetOptions::default())).await;
        let mut pieces = match found {
            Ok(found) => found.into_stream(),
            Err(StoreError::NotFound { .. }) => return Err(Error::Missing { path: path.clone() }),
            Err(error) => return Err(store_error("read", path, error)),
        };
        let (mut bytes, mut checksum) = (0, crc32fast::Hasher::new());
        loop {
            let piece = self.in_time(async { pieces.next().await.transpose() }).await;
            let Some(piece) = piece.map_err(|error| store_error("read", path, error))? else {
                break;
            };
            bytes += piece.len() as u64;
            checksum.update(&piece);
        }
        ensure_is(object, bytes, checksum.finalize())
    }

    /// Reads some ranges of an object. Only whole objects have a checksum: damage inside a range is
    /// found by [`verify`](crate::verify), not here.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::ObjectStore`].
    pub async fn read_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let location = location_of(path);
        match self.in_time(self.inner.store.get_ranges(&location, ranges)).await {
            Ok(parts) => Ok(parts),
            Err(StoreError::NotFound { .. }) => Err(Error::Missing { path: path.into() }),
            Err(error) => Err(store_error("read", path, error)),
        }
    }

    /// All objects below a folder, in no particular order. A listing may miss what was written a
    /// moment ago: never decide from it that an object does not exist.
    pub fn list(&self, folder: &str) -> BoxStream<'static, Result<ListedObject>> {
        let folder = folder.to_owned();
        let listing = self.inner.store.list(Some(&location_of(&folder)));
        let environment = Arc::clone(&self.inner.environment);
        futures::stream::unfold(Some((listing, folder, environment)), |state| async {
            let (mut listing, folder, environment) = state?;
            let next = async { listing.next().await.transpose() };
            match in_time(&*environment, next).await {
                Ok(Some(meta)) => Some((Ok(listed(&meta)), Some((listing, folder, environment)))),
                Ok(None) => None,
                Err(error) => Some((Err(store_error("list", &folder, error)), None)),
            }
        })
        .boxed()
    }

    /// What the store knows of an object; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::ObjectStore`].
    pub async fn head(&self, path: &str) -> Result<Option<ListedObject>> {
        match self.in_time(self.inner.store.head(&location_of(path))).await {
            Ok(meta) => Ok(Some(listed(&meta))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(store_error("read", path, error)),
        }
    }

    /// Deletes an object; one that is not there is no error. Only garbage collection may delete.
    ///
    /// # Errors
    /// [`Error::ObjectStore`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.in_time(self.inner.store.delete(&location_of(path))).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(store_error("delete", path, error)),
        }
    }

    /// Creates an object and leaves the judgement of errors to the caller.
    pub(crate) async fn create(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let location = location_of(path);
        self.in_time(self.inner.store.put_opts(&location, bytes.into(), options)).await?;
        Ok(())
    }

    /// Reads a framed object of which nothing is known; `None` when it is not there.
    pub(crate) async fn read_unreferenced(
        &self,
        kind: FrameKind,
        path: &str,
    ) -> Result<Option<Bytes>> {
        match self.get(path, None).await? {
            Some(bytes) => Ok(Some(frame::open(kind, path, bytes)?)),
            None => Ok(None),
        }
    }

    /// Reads a whole object, of the wanted size if one is given: a size that is not right costs
    /// no memory.
    async fn get(&self, path: &str, wanted: Option<u64>) -> Result<Option<Bytes>> {
        let location = location_of(path);
        let answer = self.in_time(async {
            let found = self.inner.store.get_opts(&location, GetOptions::default()).await?;
            let size = found.meta.size;
            if wanted.is_some_and(|wanted| wanted != size) {
                return Ok((size, Bytes::new()));
            }
            Ok((size, found.bytes().await?))
        });
        let (size, bytes) = match answer.await {
            Ok(answer) => answer,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(store_error("read", path, error)),
        };
        let wanted = wanted.unwrap_or(size);
        if size != wanted {
            let reason = format!("object has {size} bytes, wanted {wanted}");
            return Err(Error::corrupt(path, reason));
        }
        if bytes.len() as u64 != wanted {
            let reason = format!("the store gave {} of {wanted} bytes", bytes.len());
            return Err(Error::corrupt(path, reason));
        }
        Ok(Some(bytes))
    }

    /// Waits between two tries.
    pub(crate) async fn pause(&self, duration: Duration) {
        self.inner.environment.sleep(duration).await;
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        in_time(&*self.inner.environment, call).await
    }

    async fn holds(&self, path: &str, bytes: &Bytes) -> bool {
        matches!(self.get(path, Some(bytes.len() as u64)).await, Ok(Some(found)) if found == bytes)
    }
}

/// The reference to an object with these bytes.
fn reference_to(path: &str, bytes: &[u8]) -> ObjectRef {
    ObjectRef { path: path.to_owned(), bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) }
}

fn ensure_is(object: &ObjectRef, bytes: u64, crc32: u32) -> Result<()> {
    let reason = if bytes != object.bytes {
        format!("object has {bytes} bytes, wanted {}", object.bytes)
    } else if crc32 != object.crc32 {
        format!("checksum is {crc32:08x}, wanted {:08x}", object.crc32)
    } else {
        return Ok(());
    };
    Err(Error::corrupt(&object.path, reason))
}

fn listed(meta: &object_store::ObjectMeta) -> ListedObject {
    ListedObject {
        path: meta.location.to_string(),
        bytes: meta.size,
        last_modified: meta.last_modified,
    }
}

fn location_of(path: &str) -> Path {
    Path::from(path)
}

pub(crate) fn store_error(operation: &'static str, path: &str, source: StoreError) -> Error {
    Error::ObjectStore { operation, path: path.to_owned(), source: Arc::new(source) }
}

/// Turns a call that does not return into an error.
async fn in_time<T>(
    environment: &dyn Environment,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let patience = environment.sleep(STORE_CALL_TIMEOUT);
    tokio::select! {
        biased;
        answer = call => answer,
        () = patience => {
            let seconds = STORE_CALL_TIMEOUT.as_secs();
            let source = format!("no answer within {seconds} seconds").into();
            Err(StoreError::Generic { store: "bucket", source })
        }
    }
}
