//! What a local directory does before it acknowledges. Breaks for a user if this fails: a power cut
//! takes back what was acknowledged.

use bytes::Bytes;
use futures::StreamExt;
use habitue_storage::bucket::local::DurableLocalStore;
use habitue_storage::bucket::{Bucket, Disk, RealDisk};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path as Location};
use std::fs::File;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The real disk, with every call written down, and one call that fails.
#[derive(Debug)]
struct WatchedDisk {
    root: PathBuf,
    calls: Mutex<Vec<String>>,
    fails: Mutex<Option<String>>,
}

impl WatchedDisk {
    fn new(root: &Path) -> Arc<Self> {
        Arc::new(Self { root: root.to_owned(), calls: Mutex::default(), fails: Mutex::default() })
    }

    /// Writes a call down; names that are random are shortened.
    fn note(&self, what: &str, path: &Path) -> Result<()> {
        let path = path.strip_prefix(&self.root).unwrap_or(Path::new("outside"));
        let is_temporary = path.parent().is_some_and(|parent| parent.ends_with("tmp"));
        let name = if is_temporary { "tmp/*".to_owned() } else { path.display().to_string() };
        let call = format!("{what} {name}");
        let fails = self.fails.lock().unwrap().as_deref() == Some(call.as_str());
        self.calls.lock().unwrap().push(call);
        if fails { Err(Error::other("the disk is on fire")) } else { Ok(()) }
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Disk for WatchedDisk {
    fn create(&self, path: &Path) -> Result<File> {
        self.note("create", path)?;
        RealDisk.create(path)
    }

    fn write(&self, file: &mut File, offset: u64, bytes: &[u8]) -> Result<()> {
        self.note("write", &self.root.join("tmp/it"))?;
        RealDisk.write(file, offset, bytes)
    }

    fn sync_file(&self, file: &File, path: &Path) -> Result<()> {
        self.note("sync-file", path)?;
        RealDisk.sync_file(file, path)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.note("link", to)?;
        RealDisk.link(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.note("remove", path)?;
        RealDisk.remove(path)
    }

    fn create_directory(&self, path: &Path) -> Result<()> {
        self.note("mkdir", path)?;
        RealDisk.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> Result<()> {
        self.note("sync-dir", path)?;
        RealDisk.sync_directory(path)
    }
}

struct Place {
    directory: tempfile::TempDir,
    disk: Arc<WatchedDisk>,
    store: Arc<DurableLocalStore>,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = WatchedDisk::new(directory.path());
        let root = directory.path().join("db");
        let store = DurableLocalStore::with_disk(&root, disk.clone()).unwrap();
        Self { directory, disk, store: Arc::new(store) }
    }

    fn bucket(&self) -> Bucket {
        Bucket::with_store(self.store.clone(), "test")
    }

    fn temporary_files(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("db/tmp")).unwrap().count()
    }
}

#[tokio::test]
async fn bytes_are_synced_before_the_name_and_the_name_before_the_answer() {
    let place = Place::new();
    place.bucket().put_new("log/1.json", "{}".into()).await.unwrap();
    let wanted = [
        "mkdir db",
        "sync-dir ",
        "mkdir db/tmp",
        "sync-dir db",
        "create tmp/*",
        "write tmp/*",
        "sync-file tmp/*",
        "mkdir db/log",
        "sync-dir db",
        "link db/log/1.json",
        "remove tmp/*",
        "sync-dir db/log",
    ];
    assert_eq!(place.disk.calls(), wanted);
    place.bucket().put_new("log/2.json", "{}".into()).await.unwrap();
    let wanted = [
        "create tmp/*",
        "write tmp/*",
        "sync-file tmp/*",
        "link db/log/2.json",
        "remove tmp/*",
        "sync-dir db/log",
    ];
    assert_eq!(place.disk.calls(), wanted, "directories are made durable once");
}

#[tokio::test]
async fn a_directory_that_another_process_made_is_synced_too() {
    let place = Place::new();
    std::fs::create_dir_all(place.directory.path().join("db/log")).unwrap();
    place.bucket().put_new("log/1.json", "{}".into()).await.unwrap();
    let calls = place.disk.calls();
    let synced = calls.iter().position(|call| call == "sync-dir db");
    let linked = calls.iter().position(|call| call == "link db/log/1.json");
    assert!(synced.is_some() && synced < linked, "{calls:?}");
}

#[tokio::test]
async fn an_object_in_parts_is_synced_before_it_has_a_name() {
    let place = Place::new();
    let mut writer = place.bucket().writer("events/a.parquet").await.unwrap();
    let part = Bytes::from(vec![7; 5 << 20]);
    for _ in 0..4 {
        writer.append(part.clone()).await.unwrap();
    }
    assert!(place.bucket().head("events/a.parquet").await.unwrap().is_none());
    let object = writer.finish().await.unwrap();
    assert_eq!(object.bytes, 20 << 20);
    let calls = place.disk.calls();
    let place_of = |wanted: &str| calls.iter().rposition(|call| call == wanted).unwrap();
    assert!(place_of("write tmp/*") < place_of("sync-file tmp/*"), "{calls:?}");
    assert!(place_of("sync-file tmp/*") < place_of("link db/events/a.parquet"), "{calls:?}");
    assert!(place_of("link db/events/a.parquet") < place_of("sync-dir db/events"), "{calls:?}");
    assert_eq!(place.bucket().read(&object).await.unwrap().len(), 20 << 20);
    assert_eq!(place.temporary_files(), 0);
}

#[tokio::test]
async fn the_second_to_create_a_name_is_refused_and_the_first_stays() {
    let place = Place::new();
    let location = Location::from("log/1.json");
    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    place.store.put_opts(&location, "first".into(), create.clone()).await.unwrap();
    place.disk.calls();
    let error = place.store.put_opts(&location, "second".into(), create).await.unwrap_err();
    assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}");
    // Whoever reads the first on this refusal builds on it: it must be durable too.
    assert_eq!(place.disk.calls().last().unwrap(), "sync-dir db/log");
    let found = place.store.get(&location).await.unwrap().bytes().await.unwrap();
    assert_eq!(found, "first");
    let error = place.store.put(&location, "third".into()).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotSupported { .. }), "{error}");
}

#[tokio::test]
async fn a_disk_that_fails_at_any_step_makes_no_acknowledged_object() {
    let steps = ["create tmp/*", "write tmp/*", "sync-file tmp/*", "link db/log/1.json"];
    for step in steps {
        let place = Place::new();
        *place.disk.fails.lock().unwrap() = Some(step.to_owned());
        place.bucket().put_new("log/1.json", "{}".into()).await.unwrap_err();
        assert!(place.bucket().head("log/1.json").await.unwrap().is_none(), "{step}");
        assert_eq!(place.temporary_files(), 0, "{step}");
    }
    let place = Place::new();
    *place.disk.fails.lock().unwrap() = Some("sync-dir db/log".to_owned());
    place.bucket().put_new("log/1.json", "{}".into()).await.unwrap_err();
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let mut writer = place.bucket().writer("events/a.parquet").await.unwrap();
    writer.append(Bytes::from(vec![7; 9 << 20])).await.unwrap();
    assert_eq!(place.temporary_files(), 1);
    drop(writer);
    assert_eq!(place.temporary_files(), 0);
    let left = place.store.list(Some(&Location::from("events"))).count().await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_no_database_and_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nothing");
    let bucket = Bucket::open(path.to_str().unwrap()).await.unwrap();
    let error = habitue_storage::store::Store::open(bucket).await.unwrap_err();
    assert!(matches!(error, habitue_storage::Error::NotADatabase { .. }), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn names_with_spaces_and_signs_are_directories_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my shop 100% é#1");
    let bucket = Bucket::open(path.to_str().unwrap()).await.unwrap();
    let object = bucket.put_new("catalog/a.json", "{}".into()).await.unwrap();
    assert_eq!(bucket.read(&object).await.unwrap(), "{}");
    assert!(path.join("catalog/a.json").is_file());
    let listed: Vec<_> = bucket.list("catalog").collect().await;
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn urls_that_nobody_can_open_are_refused() {
    for url in ["ftp://host/x", "", "file://host/x y", "s4://bucket", "memory//x\0"] {
        let opened = Bucket::open(url).await;
        let is_refused = matches!(opened, Err(habitue_storage::Error::InvalidUrl { .. }));
        assert!(is_refused || url.starts_with("memory//"), "{url}");
    }
}
