//! Settings of an engine before it opens.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::resources::{Resources, default_memory_bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use habitue_sql::LocalFiles;
use habitue_storage::bucket::Bucket;
use habitue_storage::catalog::Catalog;
use habitue_storage::store::Store;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What to do when there is no database at the place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenMissing {
    /// Answer an error.
    #[default]
    Fail,
    /// Make an empty one.
    Create,
}

/// Collects settings and opens an [`Engine`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> habitue::Result<()> {
/// let engine = habitue::Engine::builder().threads(2).memory_limit(1 << 30).open("memory://").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct EngineBuilder {
    memory_bytes_max: Option<u64>,
    cache_bytes_max: Option<u64>,
    threads: Option<usize>,
    spill_dir: Option<PathBuf>,
    when_missing: WhenMissing,
    local_files: LocalFiles,
}

/// Less memory than this cannot hold even the blocks of an ingest.
const MEMORY_BYTES_MIN: u64 = 64 << 20;

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            memory_bytes_max: None,
            cache_bytes_max: None,
            threads: None,
            spill_dir: None,
            when_missing: WhenMissing::default(),
            local_files: LocalFiles::Allowed,
        }
    }
}

impl EngineBuilder {
    /// How many bytes rows may take in memory; what does not fit is spilled or refused. 60 % of
    /// what the machine or its control group has, by default.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_bytes_max = Some(bytes);
        self
    }

    /// How many bytes of the memory limit decoded columns may take that are kept for later queries;
    /// half of it by default. `system.cache` lists them.
    #[must_use]
    pub fn cache_limit(mut self, bytes: u64) -> Self {
        self.cache_bytes_max = Some(bytes);
        self
    }

    /// How many threads a query or an ingest uses; as many as the machine has, by default.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The folder for data that do not fit in memory; the system's temporary folder by default.
    #[must_use]
    pub fn spill_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spill_dir = Some(folder.into());
        self
    }

    /// What to do when there is no database at the place.
    #[must_use]
    pub fn when_missing(mut self, action: WhenMissing) -> Self {
        self.when_missing = action;
        self
    }

    /// [`WhenMissing::Create`].
    #[must_use]
    pub fn create_if_missing(self) -> Self {
        self.when_missing(WhenMissing::Create)
    }

    /// Whether SQL may read and write files of this machine; a library's user may, by default.
    #[must_use]
    pub fn local_files(mut self, local_files: LocalFiles) -> Self {
        self.local_files = local_files;
        self
    }

    /// Opens the database at a URL: a folder's path, `file://`, `memory://` (a new, empty one), and
    /// by feature `s3://`, `gs://`, `az://`.
    pub fn open(self, url: &str) -> BoxFuture<'_, Result<Engine>> {
        self.open_at(url).boxed()
    }

    async fn open_at(self, url: &str) -> Result<Engine> {
        let resources = self.resources()?;
        let bucket = Bucket::open(url).await?;
        // Nothing can be missing in a memory that is new.
        let create = self.when_missing == WhenMissing::Create || url.starts_with("memory:");
        let store = match Store::open(bucket.clone()).await {
            Err(habitue_storage::Error::NotADatabase { .. }) if create => {
                create_or_open(bucket).await?
            }
            opened => opened?,
        };
        Engine::new(store, resources, self.local_files)
    }

    /// Makes an empty database; an error when there is one.
    pub fn create(self, url: &str) -> BoxFuture<'_, Result<Engine>> {
        self.create_at(url).boxed()
    }

    async fn create_at(self, url: &str) -> Result<Engine> {
        let resources = self.resources()?;
        let store = Store::create(Bucket::open(url).await?, Catalog::default()).await?;
        Engine::new(store, resources, self.local_files)
    }

    fn resources(&self) -> Result<Resources> {
        let memory_bytes_max = self.memory_bytes_max.unwrap_or_else(default_memory_bytes);
        if memory_bytes_max < MEMORY_BYTES_MIN {
            return Err(Error::Invalid {
                what: "memory limit",
                reason: format!("{memory_bytes_max} bytes, wanted at least {MEMORY_BYTES_MIN}"),
            });
        }
        let machine = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Resources {
            memory_bytes_max,
            cache_bytes_max: self.cache_bytes_max,
            threads: self.threads.unwrap_or_else(machine).max(1),
            spill_dir: self.spill_dir.clone().unwrap_or_else(std::env::temp_dir),
        })
    }
}

/// Another process may create it at the same moment; then that one is it.
async fn create_or_open(bucket: Bucket) -> Result<Store> {
    match Store::create(bucket.clone(), Catalog::default()).await {
        Err(habitue_storage::Error::AlreadyADatabase { .. }) => Ok(Store::open(bucket).await?),
        created => Ok(created?),
    }
}
