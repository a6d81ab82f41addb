//! An open database.

use crate::builder::EngineBuilder;
use crate::error::Result;
use crate::ingest::{self, IngestRequest};
use crate::resources::Resources;
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::FutureExt;
use futures::future::BoxFuture;
use habitue_sql::{Database, DatabaseOptions, LocalFiles, Session};
use habitue_storage::ingest::IngestSummary;
use habitue_storage::snapshot::Snapshot;
use habitue_storage::store::Store;
use std::fmt;
use std::sync::Arc;

/// An open database: events go in, SQL is answered. Clones share everything.
///
/// All of it needs a tokio runtime with time enabled, of any flavour. The futures are boxed: a
/// program that awaits them does not compile the database again.
#[derive(Clone)]
pub struct Engine {
    pub(crate) store: Store,
    pub(crate) resources: Resources,
    database: Database,
    session: Session,
}

impl Engine {
    /// Opens the database at a URL with default settings: a folder's path, `file://`, `memory://`
    /// (a new, empty one), and by feature `s3://`, `gs://`, `az://`.
    pub fn open(url: &str) -> BoxFuture<'_, Result<Self>> {
        Self::builder().open(url)
    }

    /// Settings for opening or creating a database.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    pub(crate) fn new(store: Store, resources: Resources, local_files: LocalFiles) -> Result<Self> {
        let options = DatabaseOptions {
            memory_bytes_max: usize::try_from(resources.memory_bytes_max).unwrap_or(usize::MAX),
            cache_bytes_max: resources
                .cache_bytes_max
                .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            threads: resources.threads,
            spill_dir: Some(resources.spill_dir.clone()),
            local_files,
        };
        let database = Database::new(store.clone(), options)?;
        let session = database.session();
        Ok(Self { store, resources, database, session })
    }

    /// Takes in the events of one input: one commit, however large it is, or nothing at all.
    /// The same input twice changes nothing.
    pub fn ingest(&self, request: IngestRequest) -> BoxFuture<'_, Result<IngestSummary>> {
        ingest::run(&self.store, &self.resources, request).boxed()
    }

    /// Runs one SQL statement in the engine's own session; a query is computed as its answer is
    /// read. Settings made with `SET` last; [`Engine::session`] gives sessions of their own.
    pub fn sql<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<SendableRecordBatchStream>> {
        async move { Ok(self.session.run(sql).await?.stream) }.boxed()
    }

    /// Runs one SQL statement and collects its whole answer.
    pub fn sql_all<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Vec<RecordBatch>>> {
        async move { Ok(self.session.run(sql).await?.collect().await?) }.boxed()
    }

    /// A new session, with settings and temporary tables of its own.
    pub fn session(&self) -> Session {
        self.database.session()
    }

    /// Computes one segment anew, or all of them in the order in which they use each other.
    /// Answers what `REFRESH` answers.
    pub async fn refresh(&self, segment: Option<&str>) -> Result<Vec<RecordBatch>> {
        let statement = match segment {
            Some(name) => format!("REFRESH SEGMENT \"{}\"", name.replace('"', "\"\"")),
            None => "REFRESH ALL SEGMENTS".into(),
        };
        self.sql_all(&statement).await
    }

    /// The newest version of the database.
    pub fn snapshot(&self) -> BoxFuture<'_, Result<Arc<Snapshot>>> {
        async { Ok(self.store.snapshot().await?) }.boxed()
    }

    /// The database under the engine, for the servers.
    #[cfg(any(feature = "flight", feature = "postgres"))]
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The store under the engine, for what the engine has no words for.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").field("url", &self.store.bucket().url()).finish()
    }
}
