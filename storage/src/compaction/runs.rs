//! Sorted runs: data files that are sorted already, and rows that were sorted and are kept in memory
//! or spilled.

use super::keys::{RowKey, keys_of};
use super::memory::{Held, Memory};
use crate::error::{Error, Result};
use crate::identity::IdentityMap;
use crate::log::action::PartitionUnit;
use arrow::array::{Array, ArrayData, RecordBatch};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// A run that stays in memory takes at most so much: the text of a column must lie in one array.
const KEPT_RUN_BYTES_MAX: usize = 1 << 30;

/// Rows in their order, batch by batch.
pub(super) enum Run {
    /// Rows of a data file.
    Stored {
        rows: BoxStream<'static, Result<RecordBatch>>,
        /// The encoded columns of a row group, which the reader holds once it is asked.
        reader_bytes: usize,
        reader: Held,
    },
    /// Rows of a temporary file; the file goes when this is dropped.
    Spilled(Box<StreamReader<BufReader<File>>>),
    /// Rows in memory, until they are taken.
    Kept(Option<Box<SortedRows>>),
}

/// Rows with their keys in order.
pub(super) struct SortedRows {
    pub(super) batch: RecordBatch,
    pub(super) keys: Vec<RowKey>,
    /// The row of each key; `None` when the rows lie in order.
    pub(super) order: Option<Vec<u32>>,
    pub(super) held: Held,
}

impl SortedRows {
    /// Rows that lie in order.
    fn in_order(
        batch: RecordBatch,
        map: &IdentityMap,
        unit: PartitionUnit,
        memory: &Memory,
    ) -> Result<Self> {
        let keys = keys_of(&batch, map, unit)?;
        let held = memory.hold(memory_of(&batch));
        Ok(Self { batch, keys, order: None, held })
    }

    /// The row of this place in the order.
    pub(super) fn row(&self, place: usize) -> usize {
        self.order.as_ref().map_or(place, |order| order[place] as usize)
    }
}

impl Run {
    /// The next rows, if there are any.
    pub(super) async fn next_sorted(
        &mut self,
        map: &IdentityMap,
        unit: PartitionUnit,
        memory: &Memory,
    ) -> Result<Option<SortedRows>> {
        if let Self::Kept(rows) = self {
            return Ok(rows.take().map(|rows| *rows));
        }
        let batch = self.next().await?;
        batch.map(|batch| SortedRows::in_order(batch, map, unit, memory)).transpose()
    }

    /// The memory that its rows take while nobody asks for them.
    pub(super) fn kept_bytes(&self) -> usize {
        match self {
            Self::Kept(Some(rows)) => rows.held.bytes(),
            _ => 0,
        }
    }

    /// The next batch that has rows, as they lie.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let batch = match self {
                Self::Kept(rows) => rows.take().map(|rows| rows.batch),
                Self::Stored { rows, reader_bytes, reader } => {
                    reader.resize(*reader_bytes);
                    rows.next().await.transpose()?
                }
                Self::Spilled(reader) => reader.next().transpose().map_err(ipc_error)?,
            };
            match batch {
                Some(batch) if batch.num_rows() == 0 => {}
                batch => return Ok(batch),
            }
        }
    }
}

/// Writes a run to a temporary file without a name.
pub(super) struct Spill {
    writer: StreamWriter<BufWriter<File>>,
}

impl Spill {
    pub(super) fn new(schema: &SchemaRef, folder: Option<&Path>) -> Result<Self> {
        let file = match folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        };
        let file = BufWriter::new(file.map_err(scratch)?);
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .map_err(ipc_error)?;
        let writer =
            StreamWriter::try_new_with_options(file, schema, options).map_err(ipc_error)?;
        Ok(Self { writer })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(ipc_error)
    }

    pub(super) fn finish(mut self) -> Result<Run> {
        self.writer.finish().map_err(ipc_error)?;
        let file = self.writer.into_inner().map_err(ipc_error)?;
        let mut file = file.into_inner().map_err(|error| scratch(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(scratch)?;
        let reader = StreamReader::try_new(BufReader::new(file), None).map_err(ipc_error)?;
        Ok(Run::Spilled(Box::new(reader)))
    }
}

/// Sorts rows that do not come in order into runs that each fit in memory.
pub(super) struct Sorter<'a> {
    pub(super) map: &'a IdentityMap,
    pub(super) unit: PartitionUnit,
    pub(super) schema: SchemaRef,
    pub(super) spill_dir: Option<&'a Path>,
    pub(super) memory: Memory,
    /// Rows are spilled when they take so much.
    pub(super) bytes_max: usize,
    /// So much may stay in memory once it is sorted.
    pub(super) kept_bytes_max: usize,
    pub(super) batch_rows: usize,
}

impl Sorter<'_> {
    /// The runs of a stream, in its order.
    pub(super) async fn runs_of(&self, mut rows: Run) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut held = self.memory.hold(0);
        let mut bytes = 0;
        while let Some(batch) = rows.next().await? {
            bytes += memory_of(&batch);
            held.resize(bytes);
            batches.push(batch);
            if bytes >= self.bytes_max {
                runs.push(self.spill_sorted(&std::mem::take(&mut batches))?);
                bytes = 0;
                held.resize(0);
            }
        }
        if !batches.is_empty() {
            let kept_bytes = bytes + order_bytes(&batches);
            runs.push(match kept_bytes <= self.kept_bytes_max.min(KEPT_RUN_BYTES_MAX) {
                true => self.keep_sorted(&batches)?,
                false => self.spill_sorted(&batches)?,
            });
        }
        Ok(runs)
    }

    /// One batch for all: the merge then picks from few arrays, and labels are under one
    /// dictionary.
    fn keep_sorted(&self, batches: &[RecordBatch]) -> Result<Run> {
        let batch = concat_batches(&self.schema, batches).map_err(ipc_error)?;
        let mut rows: Vec<(RowKey, u32)> =
            keys_of(&batch, self.map, self.unit)?.into_iter().zip(0..).collect();
        rows.sort_unstable();
        let (keys, order): (Vec<RowKey>, Vec<u32>) = rows.into_iter().unzip();
        let order_bytes = order.len() * size_of::<u32>();
        let held = self.memory.hold(memory_of(&batch) + order_bytes);
        Ok(Run::Kept(Some(Box::new(SortedRows { batch, keys, order: Some(order), held }))))
    }

    fn spill_sorted(&self, batches: &[RecordBatch]) -> Result<Run> {
        let mut rows: Vec<(RowKey, u32, u32)> = Vec::new();
        for (place, batch) in (0_u32..).zip(batches) {
            let keys = keys_of(batch, self.map, self.unit)?;
            rows.extend(keys.into_iter().zip(0_u32..).map(|(key, row)| (key, place, row)));
        }
        let _held = self.memory.hold(rows.len() * size_of::<(RowKey, u32, u32)>());
        rows.sort_unstable();
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        let mut spill = Spill::new(&self.schema, self.spill_dir)?;
        for rows in rows.chunks(self.batch_rows) {
            let places: Vec<(usize, usize)> =
                rows.iter().map(|&(_, batch, row)| (batch as usize, row as usize)).collect();
            spill.write(&interleave_record_batch(&batches, &places).map_err(ipc_error)?)?;
        }
        spill.finish()
    }
}

/// What sorting these rows takes besides themselves.
fn order_bytes(batches: &[RecordBatch]) -> usize {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    rows * size_of::<(RowKey, u32)>()
}

/// What a batch takes, with its keys. Columns that were read from a temporary file share one
/// buffer, which counts once.
pub(super) fn memory_of(batch: &RecordBatch) -> usize {
    let mut seen = HashSet::new();
    let buffers: usize =
        batch.columns().iter().map(|column| buffers_of(&column.to_data(), &mut seen)).sum();
    buffers + batch.num_rows() * size_of::<RowKey>()
}

fn buffers_of(data: &ArrayData, seen: &mut HashSet<NonNull<u8>>) -> usize {
    let nulls = data.nulls().map(arrow::buffer::NullBuffer::buffer);
    let own: usize = data
        .buffers()
        .iter()
        .chain(nulls)
        .filter(|buffer| seen.insert(buffer.data_ptr()))
        .map(arrow::buffer::Buffer::capacity)
        .sum();
    own + data.child_data().iter().map(|child| buffers_of(child, seen)).sum::<usize>()
}

pub(super) fn ipc_error(error: arrow::error::ArrowError) -> Error {
    Error::Arrow { during: "sorting and spilling rows".into(), source: Arc::new(error) }
}

fn scratch(source: std::io::Error) -> Error {
    Error::Scratch { during: "spilling sorted rows".into(), source: Arc::new(source) }
}
