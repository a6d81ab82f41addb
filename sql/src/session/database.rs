//! One open database: its store, its memory limit and its threads, shared by its sessions.

use crate::error::Result;
use crate::hot::HotColumns;
use crate::session::{Session, SessionOptions};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use habitue_storage::store::Store;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

/// The name under which the engine finds the store of the database.
pub(crate) const STORE_URL: &str = "habitue://database/";
/// How much of the memory limit decoded columns may take when nobody says how much.
const CACHE_PERCENT: usize = 50;
/// How many of the largest consumers an out-of-memory error names.
const CONSUMERS_NAMED: usize = 5;

/// Whether SQL may read and write files of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalFiles {
    /// `CREATE EXTERNAL TABLE`, `COPY` and `FROM 'file.parquet'` work: for the person at the shell.
    Allowed,
    /// They are refused: for servers.
    Refused,
}

/// How a database uses the machine.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Queries together hold no more memory than this; sorts and aggregations spill.
    pub memory_bytes_max: usize,
    /// Decoded columns that are kept for later queries take no more than this of it; half of it
    /// when absent. `system.cache` lists them.
    pub cache_bytes_max: Option<usize>,
    /// How many threads one query uses.
    pub threads: usize,
    /// Where spilled data go; the system's temporary directory when absent.
    pub spill_dir: Option<PathBuf>,
    /// Whether SQL may read and write files of this machine.
    pub local_files: LocalFiles,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self {
            memory_bytes_max: 1 << 30,
            cache_bytes_max: None,
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            spill_dir: None,
            local_files: LocalFiles::Refused,
        }
    }
}

/// An open database. Clones share everything.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: DatabaseOptions,
    runtime: Arc<RuntimeEnv>,
    hot: Arc<HotColumns>,
}

impl Database {
    /// Answers queries over `store` within the limits of `options`.
    pub fn new(store: Store, options: DatabaseOptions) -> Result<Self> {
        let runtime = runtime(&store, &options)?;
        let half = options.memory_bytes_max / 100 * CACHE_PERCENT;
        let cache_bytes = options.cache_bytes_max.unwrap_or(half).min(options.memory_bytes_max);
        let hot = Arc::new(HotColumns::new(&runtime.memory_pool, cache_bytes));
        Ok(Self { inner: Arc::new(Inner { store, options, runtime, hot }) })
    }

    /// A new session with default settings and no temporary tables.
    pub fn session(&self) -> Session {
        self.session_with(SessionOptions::default())
    }

    /// A new session with rights and limits of its own.
    pub fn session_with(&self, options: SessionOptions) -> Session {
        Session::new(self.clone(), options)
    }

    /// The store under it.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// How it uses the machine.
    pub fn options(&self) -> &DatabaseOptions {
        &self.inner.options
    }

    /// The decoded columns that its queries share.
    pub(crate) fn hot(&self) -> &Arc<HotColumns> {
        &self.inner.hot
    }

    /// The memory, the spill files and the stores that its queries share.
    pub(crate) fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.inner.runtime
    }
}

/// A fair share of the memory for each operator that can spill, so that a large sort cannot starve
/// another one; whoever asks too much is named in the error.
fn runtime(store: &Store, options: &DatabaseOptions) -> Result<Arc<RuntimeEnv>> {
    let named = NonZeroUsize::new(CONSUMERS_NAMED).unwrap_or(NonZeroUsize::MIN);
    let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory_bytes_max), named);
    let mut disk = DiskManagerBuilder::default();
    if let Some(directory) = &options.spill_dir {
        disk.set_mode(DiskManagerMode::Directories(vec![directory.clone()]));
    }
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    let url = ObjectStoreUrl::parse(STORE_URL)?;
    runtime.register_object_store(url.as_ref(), store.bucket().object_store());
    if options.local_files == LocalFiles::Refused {
        let local = ObjectStoreUrl::local_filesystem();
        runtime.deregister_object_store(local.as_ref())?;
    }
    Ok(runtime)
}
