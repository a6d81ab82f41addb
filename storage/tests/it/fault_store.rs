//! An object store in memory that breaks at one call, and whose clock the test holds.

use crate::clockwork::TestClock;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, UploadPart,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How a call breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error; nothing was done.
    FailBefore,
    /// An error; it was done.
    FailAfter,
    /// The name is taken, says the store, because it repeated the request itself; it was done.
    TakenAfter,
    /// No answer ever; nothing was done.
    HangBefore,
    /// No answer ever; it was done.
    HangAfter,
    /// No answer ever; it is done some calls later.
    Late,
    /// A read gives half of the bytes and says nothing.
    Truncate,
}

pub const FAULTS: [Fault; 7] = [
    Fault::FailBefore,
    Fault::FailAfter,
    Fault::TakenAfter,
    Fault::HangBefore,
    Fault::HangAfter,
    Fault::Late,
    Fault::Truncate,
];

/// A late write arrives after this many further calls.
const LATE_CALLS: u64 = 3;

#[derive(Clone, Debug)]
pub struct FaultStore {
    inner: Arc<InMemory>,
    plan: Arc<Plan>,
    /// When each object was written by the store's clock.
    written: Arc<Mutex<BTreeMap<Path, chrono::DateTime<chrono::Utc>>>>,
    clock: TestClock,
}

#[derive(Debug, Default)]
struct Plan {
    calls: AtomicU64,
    /// The call that breaks, from 1 on; 0 is none.
    breaks_at: AtomicU64,
    fault: Mutex<Option<Fault>>,
    late: Mutex<Vec<LateWrite>>,
    /// Names of all calls, to show what a failing test did.
    trace: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct LateWrite {
    due: u64,
    location: Path,
    payload: PutPayload,
    options: PutOptions,
}

impl FaultStore {
    pub fn new(clock: &TestClock) -> Self {
        Self {
            inner: Arc::default(),
            plan: Arc::default(),
            written: Arc::default(),
            clock: clock.clone(),
        }
    }

    /// A store with the same objects, without faults, that goes its own way from here on.
    pub fn fork(&self, clock: &TestClock) -> Self {
        Self {
            inner: Arc::new(self.inner.fork()),
            plan: Arc::default(),
            written: Arc::new(Mutex::new(self.written.lock().unwrap().clone())),
            clock: clock.clone(),
        }
    }

    /// The same objects as others see them: no faults, late writes arrived.
    pub async fn healthy(&self) -> Self {
        self.deliver_late_writes(u64::MAX).await;
        Self { plan: Arc::default(), ..self.clone() }
    }

    /// The n-th call from now on breaks, 1 is the next.
    pub fn break_at(&self, call: u64, fault: Fault) {
        *self.plan.fault.lock().unwrap() = Some(fault);
        self.plan.breaks_at.store(self.calls() + call, Ordering::SeqCst);
    }

    pub fn calls(&self) -> u64 {
        self.plan.calls.load(Ordering::SeqCst)
    }

    /// Whether the call that was to break has happened.
    pub fn has_broken(&self) -> bool {
        let breaks_at = self.plan.breaks_at.load(Ordering::SeqCst);
        breaks_at > 0 && self.calls() >= breaks_at
    }

    pub fn trace(&self) -> Vec<String> {
        self.plan.trace.lock().unwrap().clone()
    }

    /// Puts other bytes in place of an object, as a bad disk does.
    pub async fn damage(&self, path: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let location = Path::from(path);
        let found = self.inner.get_opts(&location, GetOptions::default()).await.unwrap();
        let mut bytes = found.bytes().await.unwrap().to_vec();
        damage(&mut bytes);
        self.inner.put_opts(&location, bytes.into(), PutOptions::default()).await.unwrap();
    }

    /// Takes an object away, as a careless person does.
    pub async fn lose(&self, path: &str) {
        let location = Path::from(path);
        self.inner.delete_stream(stream::iter([Ok(location)]).boxed()).next().await;
    }

    pub async fn paths(&self) -> Vec<String> {
        let listing = self.inner.list(None).map_ok(|meta| meta.location.to_string());
        listing.try_collect().await.unwrap()
    }

    /// Counts a call and says whether it breaks.
    async fn enter(&self, name: &str, location: &Path) -> Option<Fault> {
        let call = self.plan.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.plan.trace.lock().unwrap().push(format!("{call} {name} {location}"));
        self.deliver_late_writes(call).await;
        let breaks_at = self.plan.breaks_at.load(Ordering::SeqCst);
        (call == breaks_at).then(|| *self.plan.fault.lock().unwrap()).flatten()
    }

    async fn deliver_late_writes(&self, call: u64) {
        let due: Vec<LateWrite> = {
            let mut late = self.plan.late.lock().unwrap();
            let (due, rest) = late.drain(..).partition(|write| write.due <= call);
            *late = rest;
            due
        };
        for write in due {
            let _ = self.write(&write.location, write.payload, write.options).await;
        }
    }

    async fn write(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let result = self.inner.put_opts(location, payload, options).await?;
        self.stamp(location);
        Ok(result)
    }

    fn stamp(&self, location: &Path) {
        self.written.lock().unwrap().insert(location.clone(), self.clock.now());
    }

    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        if let Some(written) = self.written.lock().unwrap().get(&meta.location) {
            meta.last_modified = *written;
        }
        meta
    }

    /// Breaks a call that changes something.
    async fn change<T>(
        &self,
        fault: Option<Fault>,
        location: &Path,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match fault {
            None | Some(Fault::Truncate) => work.await,
            Some(Fault::FailBefore) => Err(broken("before")),
            Some(Fault::FailAfter) => {
                work.await?;
                Err(broken("after"))
            }
            Some(Fault::TakenAfter) => {
                work.await?;
                let path = location.to_string();
                Err(Error::AlreadyExists { path, source: "repeated".into() })
            }
            Some(Fault::HangBefore | Fault::Late) => std::future::pending().await,
            Some(Fault::HangAfter) => {
                work.await?;
                std::future::pending().await
            }
        }
    }
}

fn broken(when: &str) -> Error {
    Error::Generic { store: "fault", source: format!("broken {when} it was done").into() }
}

impl std::fmt::Display for FaultStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "FaultStore")
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        assert_eq!(options.mode, PutMode::Create, "only create-if-absent is allowed: {location}");
        let fault = self.enter("put", location).await;
        if fault == Some(Fault::Late) {
            let (due, location) = (self.calls() + LATE_CALLS, location.clone());
            self.plan.late.lock().unwrap().push(LateWrite { due, location, payload, options });
            return std::future::pending().await;
        }
        self.change(fault, location, self.write(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let fault = self.enter("begin", location).await;
        let begun = self.inner.put_multipart_opts(location, options);
        let upload = self.change(fault, location, begun).await?;
        Ok(Box::new(FaultUpload { store: self.clone(), location: location.clone(), upload }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let fault = self.enter("get", location).await;
        let read = self.inner.get_opts(location, options);
        let mut found = self.change(fault, location, read).await?;
        found.meta = self.dated(found.meta);
        if fault == Some(Fault::Truncate) {
            let (meta, range) = (found.meta.clone(), found.range.clone());
            let attributes = found.attributes.clone();
            let bytes = found.bytes().await?;
            let half = bytes.slice(..bytes.len() / 2);
            let payload = GetResultPayload::Stream(stream::iter([Ok(half)]).boxed());
            found = GetResult { payload, meta, range, attributes };
        }
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fault = self.enter("ranges", location).await;
        let mut parts =
            self.change(fault, location, self.inner.get_ranges(location, ranges)).await?;
        if fault == Some(Fault::Truncate)
            && let Some(first) = parts.first_mut()
        {
            first.truncate(first.len() / 2);
        }
        Ok(parts)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    let fault = store.enter("delete", &location).await;
                    let one = stream::iter([Ok(location.clone())]).boxed();
                    let deleted = async {
                        store.inner.delete_stream(one).try_collect::<Vec<_>>().await?;
                        Ok(())
                    };
                    store.change(fault, &location, deleted).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        async move {
            let fault = store.enter("list", &prefix).await;
            let all = store.inner.list(Some(&prefix)).try_collect::<Vec<_>>();
            let found = match store.change(fault, &prefix, all).await {
                Ok(found) => found,
                Err(error) => return stream::iter(vec![Err(error)]),
            };
            let shown = match fault {
                // A listing may lag behind.
                Some(Fault::Truncate) => found.len() / 2,
                _ => found.len(),
            };
            let dated = found.into_iter().take(shown).map(|meta| Ok(store.dated(meta)));
            stream::iter(dated.collect::<Vec<_>>())
        }
        .flatten_stream()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        panic!("nothing is ever copied: {from}")
    }
}

#[derive(Debug)]
struct FaultUpload {
    store: FaultStore,
    location: Path,
    upload: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for FaultUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (store, location) = (self.store.clone(), self.location.clone());
        let part = self.upload.put_part(data);
        async move {
            let fault = store.enter("part", &location).await;
            store.change(fault, &location, part).await
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let store = self.store.clone();
        let fault = store.enter("complete", &self.location).await;
        let completed = self.upload.complete();
        let result = store.change(fault, &self.location, completed).await?;
        store.stamp(&self.location);
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
