//! A data file whose rows are all in memory is encoded column by column, on several threads.
//!
//! 1. Each column of each row group is a job of its own: pick its values in the order of the file,
//!    a few thousand at a time, and encode them. Jobs are done in the order of the file.
//! 2. One more job makes the index and the statistics from the keys of the rows.
//! 3. As soon as all columns of a row group are there, they are put behind one another.

use super::encode::{DataFileOrigin, EncodedEnd, Statistics, parquet_error};
use super::index::{FileIndex, FileIndexBuilder};
use super::properties::{ROW_GROUP_ROWS, writer_properties};
use crate::error::{Error, Result};
use crate::event;
use crate::layout;
use crate::partition::Partition;
use arrow::array::ArrayRef;
use arrow::datatypes::{FieldRef, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Values that are picked and given to the encoder at once.
const PICKED_ROWS: usize = 16 * 1024;

/// Picks the values of a column in these rows of the file.
pub(crate) type Pick = Arc<dyn Fn(usize, Range<usize>) -> Result<ArrayRef> + Send + Sync>;

/// What becomes a data file.
pub(crate) struct FileInMemory {
    pub(crate) schema: SchemaRef,
    pub(crate) origin: DataFileOrigin,
    pub(crate) name: Uuid,
    /// Identifier and time of each row, in their order.
    pub(crate) keys: Vec<(Option<u32>, i64)>,
    pub(crate) pick: Pick,
}

/// Encodes a file, with so many jobs at a time.
pub(crate) async fn encode(file: FileInMemory, threads: usize) -> Result<EncodedEnd> {
    let Partition { unit, start_us } = file.origin.partition;
    let path = layout::data_file(unit, start_us, file.name)?;
    let rows = file.keys.len();
    let failed = |error| parquet_error(&path, error);
    let (sorted_by, no_zstd) = (file.origin.sorted_by, HashSet::new());
    let properties = writer_properties(&file.schema, sorted_by, rows, &no_zstd);
    let properties = Some(properties.map_err(failed)?);
    let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&file.schema), properties);
    let (mut writer, factory) =
        writer.and_then(ArrowWriter::into_serialized_writer).map_err(failed)?;
    let mut jobs = Vec::new();
    for (row_group, start) in (0..rows).step_by(ROW_GROUP_ROWS).enumerate() {
        let rows = start..rows.min(start + ROW_GROUP_ROWS);
        let columns = factory.create_column_writers(row_group).map_err(failed)?;
        for (column, writer) in columns.into_iter().enumerate() {
            let field = Arc::clone(&file.schema.fields()[column]);
            jobs.push(Job { path: path.clone(), column, field, rows: rows.clone(), writer });
        }
    }
    let columns = file.schema.fields().len();
    let pick = Arc::clone(&file.pick);
    let described = tokio::task::spawn_blocking(move || describe(&file).map(|d| (d, file.origin)));
    // Jobs that are done may wait for one before them that is long, without holding up others.
    let turns = Arc::new(Semaphore::new(threads.max(1)));
    let jobs = futures::stream::iter(jobs).map(|job| job.begin(&pick, &turns));
    let jobs = jobs.buffered(columns.max(threads));
    let mut row_groups = jobs.try_chunks(columns);
    while let Some(chunks) = row_groups.next().await {
        let mut row_group = writer.next_row_group().map_err(failed)?;
        for chunk in chunks.map_err(|error| error.1)? {
            chunk.append_to_row_group(&mut row_group).map_err(failed)?;
        }
        row_group.close().map_err(failed)?;
    }
    drop(row_groups);
    let bytes = writer.into_inner().map_err(failed)?;
    let ((index, statistics), origin) = described.await.map_err(|error| died(&error))??;
    Ok(EncodedEnd::new(bytes, path, origin, index, statistics))
}

/// One column of one row group.
struct Job {
    path: String,
    column: usize,
    field: FieldRef,
    rows: Range<usize>,
    writer: ArrowColumnWriter,
}

impl Job {
    /// Does it on a thread of its own, once it is its turn.
    fn begin(
        self,
        pick: &Pick,
        turns: &Arc<Semaphore>,
    ) -> impl Future<Output = Result<ArrowColumnChunk>> + use<> {
        let (pick, turns) = (Arc::clone(pick), Arc::clone(turns));
        async move {
            let _turn = turns.acquire().await.map_err(|_| Error::Internal("no turns".into()))?;
            tokio::task::spawn_blocking(move || self.run(&pick))
                .await
                .map_err(|error| died(&error))?
        }
    }

    fn run(mut self, pick: &Pick) -> Result<ArrowColumnChunk> {
        let path = self.path;
        let failed = |error| parquet_error(&path, error);
        for start in self.rows.clone().step_by(PICKED_ROWS) {
            let rows = start..self.rows.end.min(start + PICKED_ROWS);
            let values = pick(self.column, rows)?;
            for leaf in compute_leaves(&self.field, &values).map_err(failed)? {
                self.writer.write(&leaf).map_err(failed)?;
            }
        }
        self.writer.close().map_err(failed)
    }
}

fn died(error: &tokio::task::JoinError) -> Error {
    Error::Internal(format!("encoding a data file stopped: {error}"))
}

fn describe(file: &FileInMemory) -> Result<(FileIndex, Statistics)> {
    let mut index = FileIndexBuilder::default();
    let mut statistics = Statistics::default();
    for &(identifier, ts_us) in &file.keys {
        index.push(identifier, identifier)?;
        statistics.observe_key(identifier, ts_us);
    }
    let column = file.schema.index_of(event::EVENT);
    let column = column.map_err(|error| Error::Internal(format!("no events: {error}")))?;
    for start in (0..file.keys.len()).step_by(PICKED_ROWS) {
        let rows = start..file.keys.len().min(start + PICKED_ROWS);
        statistics.observe_names(&(file.pick)(column, rows)?);
    }
    Ok((index.finish(), statistics))
}
