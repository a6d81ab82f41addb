//! The decoded columns of the files of a walk.

use crate::hot::{HotColumn, HotColumns, Room};
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use futures::{StreamExt, TryStreamExt, stream};
use habitue_storage::log::action::DataFile;
use habitue_storage::store::Store;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// What a walk reads: files of a snapshot, and columns of them.
pub(crate) struct WalkFiles {
    pub(crate) store: Store,
    pub(crate) hot: Arc<HotColumns>,
    /// The files in the order of the snapshot; `None` are those that no wanted row is in.
    pub(crate) files: Vec<Option<DataFile>>,
    /// The columns to read, as they are in files.
    pub(crate) schema: SchemaRef,
    pub(crate) threads: usize,
    loaded: OnceCell<Arc<LoadedFiles>>,
}

/// The columns of all files: by column, then by file.
pub(crate) struct LoadedFiles {
    columns: Vec<Vec<Option<Arc<HotColumn>>>>,
    is_read: Vec<bool>,
    /// The memory of columns that are this query's own.
    _room: Arc<Room>,
}

impl WalkFiles {
    pub(crate) fn new(
        store: Store,
        hot: Arc<HotColumns>,
        files: Vec<Option<DataFile>>,
        schema: SchemaRef,
        threads: usize,
    ) -> Self {
        Self { store, hot, files, schema, threads, loaded: OnceCell::new() }
    }

    /// The columns; whoever asks first loads them, on all threads.
    pub(crate) async fn load(self: Arc<Self>) -> Result<Arc<LoadedFiles>> {
        self.loaded.get_or_try_init(|| self.clone().load_all()).await.cloned()
    }

    async fn load_all(self: Arc<Self>) -> Result<Arc<LoadedFiles>> {
        let wanted = self.files.iter().flatten().collect::<Vec<_>>();
        let room = Arc::new(self.hot.room(&wanted, &self.schema)?);
        let load = |place: usize| {
            let (files, room) = (self.clone(), room.clone());
            let task = SpawnedTask::spawn(async move { files.load_file(place, &room).await });
            async move {
                let loaded = task.join().await;
                loaded.map_err(|error| DataFusionError::External(Box::new(error)))?
            }
        };
        let loads = stream::iter(0..self.files.len()).map(load).buffered(self.threads.max(1));
        let by_file = loads.try_collect::<Vec<_>>().await?;
        let columns = (0..self.schema.fields().len())
            .map(|column| by_file.iter().map(|file| file.get(column).cloned()).collect())
            .collect();
        let is_read = self.files.iter().map(Option::is_some).collect();
        Ok(Arc::new(LoadedFiles { columns, is_read, _room: room }))
    }

    async fn load_file(&self, place: usize, room: &Room) -> Result<Vec<Arc<HotColumn>>> {
        match &self.files[place] {
            Some(file) => Ok(self.hot.load(&self.store, file, &self.schema, room).await?),
            None => Ok(Vec::new()),
        }
    }
}

impl LoadedFiles {
    /// A column of all files.
    pub(crate) fn column(&self, column: usize) -> &[Option<Arc<HotColumn>>] {
        &self.columns[column]
    }

    /// Whether a file has rows that are wanted.
    pub(crate) fn is_read(&self, file: u32) -> bool {
        self.is_read[file as usize]
    }
}
