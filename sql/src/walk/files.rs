//! The decoded columns of what a walk reads.

use crate::hot::{
    ColumnKind, HotColumn, HotColumns, ORDER, Room, Wanted, arranged, decode, times_in_order,
    times_of_all,
};
use crate::walk::arrangement::{Arrangement, FirstRuns};
use crate::walk::plan::file_runs;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use futures::{StreamExt, TryStreamExt, stream};
use habitue_storage::event::{TS, file_schema};
use habitue_storage::log::action::DataFile;
use habitue_storage::store::Store;
use std::any::Any;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// What a walk reads: parts of a snapshot, and columns of them.
pub(crate) struct WalkFiles {
    pub(crate) store: Store,
    pub(crate) hot: Arc<HotColumns>,
    /// In the order of the runs.
    pub(crate) parts: Vec<WalkPart>,
    /// The columns to read, as they are in files.
    pub(crate) schema: SchemaRef,
    pub(crate) threads: usize,
    loaded: OnceCell<Arc<LoadedFiles>>,
}

/// A part of a snapshot.
#[derive(Clone)]
pub(crate) enum WalkPart {
    File(DataFile),
    /// A file that no wanted row is in.
    Skipped,
    /// Many files as one.
    Arranged(Arc<Arrangement>),
}

impl WalkPart {
    /// What columns are wanted of; `None` when nothing is.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        match self {
            Self::File(file) => Some(Wanted::file(file)),
            Self::Skipped => None,
            Self::Arranged(arrangement) => Some(Wanted {
                path: arrangement.name().clone(),
                rows: u64::from(arrangement.rows()),
                is_made: true,
            }),
        }
    }
}

/// The columns of all parts: by column, then by part.
pub(crate) struct LoadedFiles {
    columns: Vec<Vec<Option<Arc<HotColumn>>>>,
    is_read: Vec<bool>,
    /// The memory of columns that are this query's own.
    _memory: Arc<dyn Any + Send + Sync>,
}

impl WalkFiles {
    pub(crate) fn new(
        store: Store,
        hot: Arc<HotColumns>,
        parts: Vec<WalkPart>,
        schema: SchemaRef,
        threads: usize,
    ) -> Self {
        Self { store, hot, parts, schema, threads, loaded: OnceCell::new() }
    }

    /// The files that are read as they are.
    pub(crate) fn files(&self) -> impl Iterator<Item = &DataFile> {
        self.parts.iter().filter_map(|part| match part {
            WalkPart::File(file) => Some(file),
            _ => None,
        })
    }

    /// Whether files are read in the order of the walk.
    pub(crate) fn is_arranged(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, WalkPart::Arranged(_)))
    }

    /// The columns; whoever asks first loads them, on all threads.
    pub(crate) async fn load(self: Arc<Self>) -> Result<Arc<LoadedFiles>> {
        self.loaded.get_or_try_init(|| self.clone().load_all()).await.cloned()
    }

    async fn load_all(self: Arc<Self>) -> Result<Arc<LoadedFiles>> {
        Ok(Arc::new(self.load_from(0).await?))
    }

    /// The columns of the parts from this one on; of those before it there is nothing.
    pub(crate) async fn load_from(self: Arc<Self>, first: usize) -> Result<LoadedFiles> {
        let wanted = self.parts[first..].iter().filter_map(WalkPart::wanted).collect::<Vec<_>>();
        let room = Arc::new(self.hot.room(&wanted, &self.schema)?);
        let load = |place: usize| {
            let (files, room) = (self.clone(), room.clone());
            in_background(async move {
                match place < first {
                    true => Ok(Vec::new()),
                    false => files.load_part(place, &room).await,
                }
            })
        };
        let loads = stream::iter(0..self.parts.len()).map(load).buffered(self.threads.max(1));
        let by_part = loads.try_collect::<Vec<_>>().await?;
        let columns = (0..self.schema.fields().len())
            .map(|column| by_part.iter().map(|part| part.get(column).cloned()).collect())
            .collect();
        let is_read = self.parts.iter().map(|part| !matches!(part, WalkPart::Skipped)).collect();
        Ok(LoadedFiles { columns, is_read, _memory: room })
    }

    async fn load_part(&self, place: usize, room: &Room) -> Result<Vec<Arc<HotColumn>>> {
        let part = &self.parts[place];
        match (part, part.wanted()) {
            (WalkPart::File(file), Some(wanted)) => {
                let mut found = self.hot.found(&wanted.path, &self.schema);
                if let Some(missing) = found.missing(&self.schema)? {
                    let made = decode(&self.store, file, missing).await?;
                    found.fill(made, &wanted, &self.schema, room);
                }
                Ok(found.columns())
            }
            (WalkPart::Arranged(arrangement), Some(wanted)) => {
                let making = Making { files: self, arrangement, wanted: &wanted, room };
                making.columns().await
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// Columns of an arrangement on their way from the columns of files.
struct Making<'a> {
    files: &'a WalkFiles,
    arrangement: &'a Arc<Arrangement>,
    wanted: &'a Wanted,
    room: &'a Room,
}

impl Making<'_> {
    async fn columns(&self) -> Result<Vec<Arc<HotColumn>>> {
        let WalkFiles { hot, schema, .. } = self.files;
        let found = hot.found(&self.wanted.path, schema);
        if found.missing(schema)?.is_none() {
            return Ok(found.columns());
        }
        // Somebody else may be making the same: then they are there in a moment.
        let mut first = self.arrangement.making.lock().await;
        let mut found = hot.found(&self.wanted.path, schema);
        if let Some(missing) = found.missing(schema)? {
            let made = self.make(missing, first.take()).await?;
            found.fill(made, self.wanted, schema, self.room);
        }
        Ok(found.columns())
    }

    async fn make(&self, missing: SchemaRef, first: Option<FirstRuns>) -> Result<Vec<HotColumn>> {
        let _passing = self.passing(&missing)?;
        let (order, times) = self.order(first).await?;
        let others = missing.fields().iter().enumerate();
        let others = others.filter(|(_, field)| times.is_none() || field.name() != TS);
        let others = others.map(|(place, _)| place).collect::<Vec<_>>();
        let by_file = match others.is_empty() {
            true => Vec::new(),
            false => self.of_files(Arc::new(missing.project(&others)?)).await?,
        };
        let (arrangement, threads) = (self.arrangement.clone(), self.files.threads);
        let made = SpawnedTask::spawn_blocking(move || {
            let rows = arrangement.files().iter().map(|file| file.rows as usize);
            let rows = rows.collect::<Vec<_>>();
            let owned = arrangement.owned_rows() as usize;
            let column = |column: usize| {
                let Some(place) = others.iter().position(|&other| other == column) else {
                    return Some(times_in_order(times.as_deref()?, order.order(), threads));
                };
                let files = by_file.iter().map(|file| file[place].clone()).collect::<Vec<_>>();
                arranged(&files, &rows, order.order(), owned, threads)
            };
            (0..missing.fields().len()).map(column).collect::<Option<Vec<_>>>()
        });
        let made = made.join().await.map_err(joined)?;
        let unlike = || DataFusionError::Internal("files hold columns of several kinds".into());
        made.ok_or_else(unlike)
    }

    /// The memory of what is decoded for the moment, columns and, for the order, times.
    fn passing(&self, missing: &Schema) -> Result<MemoryReservation> {
        let fields = missing.fields().iter();
        let kinds = fields.filter_map(|field| ColumnKind::of(field.name(), field.data_type()));
        let columns = kinds.map(ColumnKind::bytes_per_row).sum::<usize>();
        let bytes = self.arrangement.rows() as usize * columns.max(size_of::<i64>());
        self.files.hot.reserve(bytes).ok_or_else(|| {
            DataFusionError::ResourcesExhausted(format!(
                "the memory limit leaves no room to arrange columns. wanted={bytes} bytes"
            ))
        })
    }

    /// Where each row comes from, and the times of all files if they were read for it.
    async fn order(&self, first: Option<FirstRuns>) -> Result<(Arc<HotColumn>, Option<Vec<i64>>)> {
        if let Some(order) = self.files.hot.find(self.wanted.path.as_ref(), ORDER) {
            return Ok((order, None));
        }
        let ts = file_schema([]).field_with_name(TS).map_err(DataFusionError::from)?.clone();
        let times = self.of_files(Arc::new(Schema::new(vec![ts]))).await?;
        let arrangement = self.arrangement.clone();
        let runs = match first {
            Some(first) => first.runs,
            None => {
                let files = arrangement.files().iter().collect::<Vec<_>>();
                file_runs(&self.files.store, &files, arrangement.identities()).await?
            }
        };
        let threads = self.files.threads;
        let order = SpawnedTask::spawn_blocking(move || {
            let times = times_of_all(&times.into_iter().flatten().collect::<Vec<_>>());
            let rows = arrangement.files().iter().map(|file| file.rows as usize);
            let order = arrangement.order(&runs, &rows.collect::<Vec<_>>(), &times, threads);
            (HotColumn::Order(order), times)
        });
        let (order, times) = order.join().await.map_err(joined)?;
        let order = Arc::new(order);
        self.room.fill(self.wanted, ORDER, order.clone());
        Ok((order, Some(times)))
    }

    /// Columns of the files: those that are kept, and others decoded for the moment.
    async fn of_files(&self, schema: SchemaRef) -> Result<Vec<Vec<Arc<HotColumn>>>> {
        let (hot, store) = (self.files.hot.clone(), self.files.store.clone());
        let files = stream::iter(self.arrangement.files().to_vec()).map(move |file| {
            let columns = columns_of_file(hot.clone(), store.clone(), file, schema.clone());
            in_background(columns)
        });
        files.buffered(self.files.threads.max(1)).try_collect().await
    }
}

/// Columns of a file: those that are kept, and others decoded for the moment.
pub(super) async fn columns_of_file(
    hot: Arc<HotColumns>,
    store: Store,
    file: DataFile,
    schema: SchemaRef,
) -> Result<Vec<Arc<HotColumn>>> {
    let found = hot.found(&file.object.path, &schema);
    if found.missing(&schema)?.is_none() {
        return Ok(found.columns());
    }
    let columns = decode(&store, &file, schema).await?;
    Ok(columns.into_iter().map(Arc::new).collect())
}

/// The same on any thread that is free.
pub(crate) async fn in_background<T, E>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<DataFusionError> + Send + 'static,
{
    SpawnedTask::spawn(work).join().await.map_err(joined)?
}

pub(super) fn joined(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl LoadedFiles {
    /// A column of all parts.
    pub(crate) fn column(&self, column: usize) -> &[Option<Arc<HotColumn>>] {
        &self.columns[column]
    }

    /// Parts that were read in another way, each with all columns, and the memory that they take.
    pub(crate) fn of_parts(
        by_part: &[Vec<Arc<HotColumn>>],
        memory: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        let columns = by_part.first().map_or(0, Vec::len);
        let column = |column: usize| by_part.iter().map(|part| part.get(column).cloned()).collect();
        Self {
            columns: (0..columns).map(column).collect(),
            is_read: vec![true; by_part.len()],
            _memory: memory,
        }
    }

    /// The same with these columns as the first part, by their places.
    pub(crate) fn with_first_part(
        mut self,
        columns: impl Iterator<Item = (usize, Arc<HotColumn>)>,
    ) -> Self {
        columns.for_each(|(place, column)| self.columns[place][0] = Some(column));
        self
    }

    /// Whether a part has rows that are wanted.
    pub(crate) fn is_read(&self, part: u32) -> bool {
        self.is_read[part as usize]
    }
}
